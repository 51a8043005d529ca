import Codecs
import Files
public import GGUF
public import Safetensors
public import Tensors
import TorchPickles

/// A file of named tensors, whatever its container: safetensors, a torch pickle, or GGUF.
///
/// The file is mapped, and its tensors are views of it wherever they are stored as they are used.
public struct WeightFile: Sendable {
  /// The kinds of files that weights come in.
  public enum Container: Sendable {
    case safetensors(SafetensorsFile)
    case torchPickle
    case gguf(GGUFFile)
  }

  /// One tensor, as the file's header or pickle describes it.
  public struct Entry: Sendable {
    /// Full name in the file.
    public let name: String
    /// Of what `tensor` gives. Quantised tensors are F32: the numbers that they stand for.
    public let dtype: DType
    /// In C order, as all containers are shown here.
    public let shape: Shape
    /// Where the tensor lies in `data`: the order in which a file is read fastest.
    public let range: Range<Int>
  }

  /// As it was given.
  public let path: String
  /// Told by the first bytes of the file, not by its name.
  public let container: Container
  /// In the header's or the pickle's order.
  public let entries: [Entry]
  /// Text beside the tensors, in the file's order; pickles have none.
  public let metadata: [(key: String, value: String)]
  /// What is odd about it and allowed, and what was left out of it, in words.
  public let warnings: [String]
  /// What content hashes cover: the data section of a safetensors file, all bytes of another.
  public let data: Bytes
  /// The size of the whole file in bytes.
  public let byteCount: Int
  private let indexOfName: [String: Int]
  /// Of a pickle, in the order of `entries`.
  private let views: [TorchView]

  /// Opens a file, told apart by its first bytes.
  ///
  /// - Throws: `FileError`, `SafetensorsError`, `TorchPickleError` or `GGUFError`; `CheckpointError` for tensors without names.
  public init(path: String) throws {
    let file = try MappedFile(path: path), beginning = file.bytes.withUnsafeBytes { Array($0.prefix(16)) }
    if TorchPickle.recognises(beginning) {
      let pickle = try TorchPickle(file)
      guard case .dictionary(let items) = pickle.contents else {
        throw CheckpointError(.notACheckpoint(reason: "found a list of tensors without names"), path: path)
      }
      if let number = pickle.numbers.first {
        throw CheckpointError(.number(tensor: number.name, value: number.value), path: path)
      }
      let entries = items.map {
        Entry(name: $0.name, dtype: $0.view.dtype, shape: $0.view.shape, range: $0.view.place ?? 0..<0)
      }
      self.init(
        path, .torchPickle, entries, warnings: pickle.warning.map { [$0] } ?? [], data: file.bytes,
        byteCount: file.count, views: items.map(\.view))
    } else if GGUFFile.recognises(beginning) {
      let contents = try GGUFFile(file)
      let entries = contents.entries.map {
        Entry(name: $0.name, dtype: $0.format.dtype, shape: $0.shape, range: $0.place)
      }
      self.init(
        path, .gguf(contents), entries, metadata: contents.texts, data: file.bytes, byteCount: file.count)
    } else {
      self.init(try SafetensorsFile(path: path))
    }
  }

  /// A safetensors file, which may be one in memory.
  public init(_ contents: SafetensorsFile) {
    let entries = contents.entries.map { Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape, range: $0.range) }
    self.init(
      contents.path, .safetensors(contents), entries, metadata: contents.metadata, warnings: contents.warnings,
      data: contents.data, byteCount: contents.byteCount)
  }

  private init(
    _ path: String, _ container: Container, _ entries: [Entry], metadata: [(key: String, value: String)] = [],
    warnings: [String] = [], data: Bytes, byteCount: Int, views: [TorchView] = []
  ) {
    (self.path, self.container, self.entries, self.metadata) = (path, container, entries, metadata)
    (self.warnings, self.data, self.byteCount, self.views) = (warnings, data, byteCount, views)
    indexOfName = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
  }

  /// The tensor called `name`, or `nil`.
  public subscript(name: String) -> Tensor? { indexOfName[name].map { tensor(entries[$0]) } }

  /// The place of a tensor in `entries`, or `nil`.
  public func index(of name: String) -> Int? { indexOfName[name] }

  /// A tensor in C order: a view of the file where it is stored so, else a copy made now.
  ///
  /// - Precondition: the entry is one of this file's.
  public func tensor(_ entry: Entry) -> Tensor {
    switch container {
    case .safetensors: Tensor(dtype: entry.dtype, shape: entry.shape, bytes: data[entry.range])
    case .torchPickle: views[indexOfName[entry.name]!].tensor
    case .gguf(let file): file.tensor(file.entries[indexOfName[entry.name]!])
    }
  }

  /// Whether `tensor` takes memory of its own: for elements in another order.
  public func isCopied(_ entry: Entry) -> Bool {
    switch container {
    case .safetensors: false
    case .torchPickle: !views[indexOfName[entry.name]!].isContiguous
    case .gguf: false
    }
  }

  /// What reads a tensor that the container itself stores as codes; `nil` for any other.
  func codec(_ entry: Entry) -> (any WeightCodec)? {
    if case .gguf(let file) = container { file.codec(file.entries[indexOfName[entry.name]!]) } else { nil }
  }

  /// A tensor's bytes as the file has them, in C order.
  ///
  /// - Precondition: the entry is one of this file's.
  public func storedBytes(_ entry: Entry) -> Bytes {
    if case .gguf(let file) = container { return file.storedBytes(file.entries[indexOfName[entry.name]!]) }
    return tensor(entry).bytes
  }

  /// The container's name in a sentence.
  public var kind: String {
    switch container {
    case .safetensors: "a safetensors file"
    case .torchPickle: "a torch pickle"
    case .gguf: "a GGUF file"
    }
  }

  /// The file as safetensors, where it is that.
  public var safetensors: SafetensorsFile? { if case .safetensors(let file) = container { file } else { nil } }

  /// The file as GGUF, where it is that.
  public var gguf: GGUFFile? { if case .gguf(let file) = container { file } else { nil } }
}
