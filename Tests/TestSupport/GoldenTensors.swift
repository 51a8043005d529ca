import Safetensors
public import Tensors

/// The tensors of a golden's safetensors file, for rooms that know no files.
public struct GoldenTensors: Sendable {
  private let file: SafetensorsFile

  /// - Parameter name: the file below `Tests/Goldens`.
  public init(_ name: String) throws { file = try SafetensorsFile(path: Goldens.path(name)) }

  public subscript(name: String) -> Tensor? { file[name] }
}
