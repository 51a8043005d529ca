import Codecs
import Tensors

/// The tensors of a module whose weight is stored as codes, for whoever makes a codec of them. Remembers which were used.
struct QuantisedModule {
  /// The module's full name in the file.
  let name: String
  /// The label of the tensor with the codes: `weight`, `weight_packed`.
  let label: String
  /// The codes as they are stored.
  let codes: Tensor
  /// Those that were used, by their places.
  private(set) var sides: [Int] = []
  private let place: (String) -> Int?
  private let tensor: (Int) -> Tensor

  init(
    name: String, label: String, codes: Tensor, place: @escaping (String) -> Int?, tensor: @escaping (Int) -> Tensor
  ) {
    (self.name, self.label, self.codes, self.place, self.tensor) = (name, label, codes, place, tensor)
  }

  /// A tensor beside the codes; `nil` where there is none.
  mutating func part(_ label: String) -> Tensor? {
    guard let index = place("\(name).\(label)") else { return nil }
    if !sides.contains(index) { sides.append(index) }
    return tensor(index)
  }

  /// A tensor that the format cannot do without.
  mutating func required(_ label: String) throws(CodecError) -> Tensor {
    guard let found = part(label) else { throw CodecError(label, expected: "this tensor", found: "none of the name") }
    return found
  }

  /// A tensor of one finite number.
  mutating func number(_ label: String) throws(CodecError) -> Float {
    let tensor = try required(label)
    guard tensor.elementCount == 1, tensor.dtype.isReadable else {
      throw CodecError(label, expected: "one number", found: "\(tensor.dtype.rawValue) \(tensor.shape)")
    }
    let value = tensor.floats()[0]
    guard value.isFinite else { throw CodecError(label, expected: "a finite number", found: "\(value)") }
    return value
  }

  /// The place of a tensor of the module, without using it.
  func index(of label: String) -> Int? { place("\(name).\(label)") }

  /// A tensor of the module, without using it.
  func look(_ label: String) -> Tensor? { index(of: label).map(tensor) }

  /// Takes over what speaks of the module's inputs only, where it is there.
  mutating func claim(_ labels: String...) { for label in labels { _ = part(label) } }

  /// Outputs and inputs of codes that are stored as a matrix.
  func matrix() throws(CodecError) -> (rows: Int, columns: Int) {
    guard codes.shape.rank == 2 else {
      throw CodecError(label, expected: "a matrix", found: "\(codes.dtype.rawValue) \(codes.shape)")
    }
    return codes.shape.flattened
  }
}

/// A weight that was put together of its parts.
struct ResolvedWeight {
  let codec: any WeightCodec
  /// Of what the codes stand for.
  let shape: Shape
  /// The format under which the weight counts: F32, or that of 8-bit numbers which a bake can write in place.
  var dtype = DType.f32
  /// The label of the scale that a bake may enlarge.
  var scale: String?
}
