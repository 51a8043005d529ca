import FoundationEssentials
import Safetensors
import Tensors

/// Makes one checkpoint file under the original authors' names from a folder of diffusers.
public enum SingleFile {
  private struct Entry: Decodable {
    let name: String
    let from: [[String]]
    let shape: [Int]?
    let transposed: Bool?
  }
  private struct Ignored: Decodable {
    let name: String
    let shape: [Int]
    let dtype: String
  }

  /// - Parameters:
  ///   - folder: the checkpoint, in diffusers' layout.
  ///   - listing: below `Tests/Goldens`, what the file holds: `single-file.json` of a generator there.
  ///   - ignored: likewise, what such files hold besides; they are filled with threes.
  public static func write(of folder: String, listing: String, ignored: String? = nil, to path: String) throws {
    let decoder = JSONDecoder()
    let entries = try decoder.decode([Entry].self, from: Goldens.data(listing))
    let others = try ignored.map { try decoder.decode([Ignored].self, from: Goldens.data($0)) } ?? []
    var files: [String: SafetensorsFile] = [:]
    func stored(_ component: String, _ name: String) throws -> Tensor {
      if files[component] == nil {
        let stem = component.hasPrefix("text") ? "model" : "diffusion_pytorch_model"
        files[component] = try SafetensorsFile(path: "\(folder)/\(component)/\(stem).safetensors")
      }
      guard let tensor = files[component]?[name] else { fatalError("\(folder)/\(component) has no \(name)") }
      return tensor
    }
    var tensors = try entries.map { entry -> (name: String, tensor: Tensor) in
      let parts = try entry.from.map { try stored($0[0], $0[1]) }
      let rows = parts.reduce(0) { $0 + $1.shape.extents[0] }
      var shape = Shape([rows] + parts[0].shape.extents.dropFirst()), values = parts.flatMap { $0.doubles() }
      if entry.transposed == true {
        let (height, width) = (shape[0], shape[1]), old = values
        values = values.indices.map { old[$0 % height * width + $0 / height] }
        shape = Shape([width, height])
      }
      return (entry.name, Tensor(values, shape: entry.shape.map { Shape($0) } ?? shape, dtype: parts[0].dtype))
    }
    for other in others {
      let shape = Shape(other.shape)
      guard let dtype = DType(rawValue: other.dtype) else { fatalError("no number format \(other.dtype)") }
      tensors.append(
        (other.name, Tensor([Double](repeating: 3, count: shape.elementCount), shape: shape, dtype: dtype)))
    }
    try writeTensors(tensors, to: path)
  }
}
