import Codecs
public import Models
public import Tensors

/// The name of a weight for those who build networks: the component, and the tensor in diffusers' (Hugging Face's)
/// dialect.
public struct WeightName: Hashable, Sendable, CustomStringConvertible {
  /// The network that the tensor belongs to.
  public let component: Component
  /// With dots: `down_blocks.0.resnets.0.conv1.weight`.
  public let path: String

  /// `path` with dots, in diffusers' dialect.
  public init(_ component: Component, _ path: String) {
    self.component = component
    self.path = path
  }

  /// Component and path with a dot between, for messages.
  public var description: String { "\(component.rawValue).\(path)" }
}

/// Supplies the named weights of a network to whoever builds it.
public protocol WeightSource {
  /// The tensor called `name`, which must have exactly `shape`; extents of 1 at the end do not count.
  func weight(named name: WeightName, shape: Shape) throws -> Tensor
}

extension Checkpoint: WeightSource {
  /// Reads a weight whatever the checkpoint's own dialect, in the stored number format; codes as the numbers in single precision
  /// that they stand for.
  ///
  /// - Throws: `CheckpointError`: `unknownWeight` or `weightShape`.
  public func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    try read(named: name, shape: shape) { decodedTensor(weights[$0]) }
  }

  /// A stored tensor as the numbers it stands for: a view of the file, or, of codes, numbers in single precision, which take no
  /// memory: they are computed whenever they are asked for.
  public func decodedTensor(_ weight: Weight) -> Tensor {
    weight.quantisation?.codec.tensor(shape: weight.entry.shape) ?? tensor(weight)
  }

  /// What a weight's stored numbers are multiplied by where a bake may change that: one number, or one for each row; `nil` where
  /// it has no such scale.
  public func scales(of weight: Weight) -> [Float]? {
    weight.quantisation?.scale.map { tensor(weights[$0]).floats() }
  }

  /// Reads a weight from stored tensors that `stored` supplies by their index.
  ///
  /// - Throws: `CheckpointError`: `unknownWeight` or `weightShape`, and what `stored` throws.
  public func read(named name: WeightName, shape: Shape, stored: (Int) throws -> Tensor) throws -> Tensor {
    guard let weight = weight(named: name) else { throw CheckpointError(.unknownWeight("\(name)"), path: path) }
    guard weight.shape.essential == shape.essential else {
      throw CheckpointError(
        .weightShape(name: "\(name)", expected: "\(shape)", found: "\(weight.shape)"), path: path)
    }
    return try weight.assembled(shape: shape, stored: stored)
  }
}

extension Shape {
  /// The extents without those of 1 at the end: a matrix and a 1 × 1 convolution are stored alike.
  fileprivate var essential: [Int] {
    var extents = extents
    while extents.last == 1, extents.count > 1 { extents.removeLast() }
    return extents
  }
}

extension NamedWeight {
  /// Puts the weight together from the stored tensors that `stored` supplies by their index.
  ///
  /// - Precondition: `shape` has as many elements as the weight.
  public func assembled(shape: Shape, stored: (Int) throws -> Tensor) rethrows -> Tensor {
    if pieces.count == 1, !pieces[0].swapsHalves, !pieces[0].isTransposed {
      let piece = pieces[0], tensor = try stored(piece.stored)
      let bytes = tensor.bytes(ofRows: piece.storedRows)
      return Tensor(dtype: tensor.dtype, shape: shape, bytes: bytes)
    }
    let parts = try pieces.map { piece -> (piece: Piece, tensor: Tensor) in (piece, try stored(piece.stored)) }
    // One format for all that loses nothing of any: quantisers and trainers keep some parts finer than others.
    let formats = Set(parts.map(\.tensor.dtype))
    let dtype = formats.count == 1 ? parts[0].tensor.dtype : formats.allSatisfy(\.isExactInSingle) ? .f32 : .f64
    let rowBytes = shape.elementCount / max(shape.extents.first ?? 1, 1) * dtype.bits / 8
    let bytes = Bytes(count: shape.elementCount * dtype.bits / 8) { target in
      for (piece, tensor) in parts {
        let source = tensor.dtype == dtype ? tensor : Tensor(tensor.doubles(), shape: tensor.shape, dtype: dtype)
        let place = UnsafeMutableRawBufferPointer(
          rebasing: target[piece.ownRows.lowerBound * rowBytes..<piece.ownRows.upperBound * rowBytes])
        if piece.isTransposed {
          source.copyTransposed(to: place)
        } else {
          source.bytes(ofRows: piece.storedRows).withUnsafeBytes { rows in
            let half = piece.swapsHalves ? rows.count / 2 : 0
            place.copyMemory(from: UnsafeRawBufferPointer(rebasing: rows[half...]))
            UnsafeMutableRawBufferPointer(rebasing: place[(rows.count - half)...]).copyMemory(
              from: UnsafeRawBufferPointer(rebasing: rows[..<half]))
          }
        }
      }
    }
    return Tensor(dtype: dtype, shape: shape, bytes: bytes)
  }
}

extension DType {
  /// Whether single precision holds all of its numbers.
  fileprivate var isExactInSingle: Bool {
    switch self {
    case .f64, .i32, .u32, .i64, .u64, .c64: false
    default: true
    }
  }
}

extension Tensor {
  /// The bytes of some rows: of a range of the first extent.
  public func bytes(ofRows rows: Range<Int>) -> Bytes {
    let rowBytes = bytes.count / max(shape.extents.first ?? 1, 1)
    return bytes[rows.lowerBound * rowBytes..<rows.upperBound * rowBytes]
  }

  fileprivate func copyTransposed(to target: UnsafeMutableRawBufferPointer) {
    let (rows, columns) = shape.flattened, size = dtype.bits / 8
    bytes.withUnsafeBytes { source in
      for i in 0..<rows {
        for j in 0..<columns {
          for byte in 0..<size { target[(j * rows + i) * size + byte] = source[(i * columns + j) * size + byte] }
        }
      }
    }
  }
}
