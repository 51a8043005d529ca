import Models
public import Tensors

/// Where a weight of some dialect lies in the tensors that a checkpoint stores.
///
/// Most weights are one stored tensor. A part of a fused projection is some rows of one; a fused projection of a
/// checkpoint that stores it in parts is several.
public struct NamedWeight: Sendable {
  /// Some rows of the weight, and where they are.
  public struct Piece: Sendable, Equatable {
    /// Index into the checkpoint's weights.
    public let stored: Int
    /// The rows of the stored tensor.
    public let storedRows: Range<Int>
    /// The rows of the named weight.
    public let ownRows: Range<Int>
    /// Whether the two halves of the rows stand in opposite order.
    public var swapsHalves = false
    /// Whether the stored matrix is the transposed one; its rows are then the weight's columns.
    public var isTransposed = false
  }

  /// In the order of the weight's rows, which they cover.
  public let pieces: [Piece]
  /// Of the whole weight: that of its pieces put together.
  public let shape: Shape

  init(stored: Int, shape: Shape) {
    let rows = shape.extents.first ?? 1
    pieces = [Piece(stored: stored, storedRows: 0..<rows, ownRows: 0..<rows)]
    self.shape = shape
  }

  private init(pieces: [Piece], shape: Shape) {
    self.pieces = pieces
    self.shape = shape
  }

  private var rows: Int { shape.extents.first ?? 1 }

  private func withRows(_ count: Int) -> Shape { Shape([count] + shape.extents.dropFirst()) }

  /// The weight with its halves in the other order.
  var swapped: NamedWeight? {
    guard rows % 2 == 0, pieces.count == 1 else { return nil }
    var piece = pieces[0]
    piece.swapsHalves.toggle()
    return NamedWeight(pieces: [piece], shape: shape)
  }

  /// The transposed weight.
  var transposed: NamedWeight? {
    guard shape.rank == 2, pieces.count == 1, !pieces[0].swapsHalves else { return nil }
    let old = pieces[0]
    return NamedWeight(
      pieces: [
        Piece(
          stored: old.stored, storedRows: old.storedRows, ownRows: 0..<shape[1], isTransposed: !old.isTransposed)
      ], shape: Shape([shape[1], shape[0]]))
  }

  /// The weight's rows cut into parts, or `nil` when they cannot be cut like that.
  func split(_ shares: [NameMap.RowShare]) -> [NamedWeight]? {
    guard shares.count > 1 else { return [self] }
    guard pieces.count == 1, !pieces[0].swapsHalves, !pieces[0].isTransposed else { return nil }
    // A bias has no columns to tell: it is cut as its matrix is, which only equal parts allow.
    let inputs = shape.rank > 1 ? shape.extents.dropFirst().reduce(1, *) : nil
    let fixed = shares.count { $0 == .inputs }
    if fixed > 0, inputs == nil { return nil }
    return split(sizes: shares, fixedSize: inputs ?? 0, fixed: fixed)
  }

  /// The rows cut where another weight was cut: a bias as its matrix.
  func split(like others: [NamedWeight]) -> [NamedWeight]? {
    guard pieces.count == 1, others.reduce(0, { $0 + $1.rows }) == rows else { return nil }
    return slices(others.map(\.rows))
  }

  private func split(sizes shares: [NameMap.RowShare], fixedSize: Int, fixed: Int) -> [NamedWeight]? {
    let free = shares.count - fixed, left = rows - fixed * fixedSize
    guard left >= 0, free == 0 ? left == 0 : left % free == 0 else { return nil }
    return slices(shares.map { $0 == .inputs ? fixedSize : left / free })
  }

  private func slices(_ sizes: [Int]) -> [NamedWeight] {
    var start = 0
    return sizes.map { size in
      defer { start += size }
      let piece = pieces[0], low = piece.storedRows.lowerBound + start
      return NamedWeight(
        pieces: [Piece(stored: piece.stored, storedRows: low..<low + size, ownRows: 0..<size)], shape: withRows(size))
    }
  }

  /// Several weights as one, their rows below each other; `nil` when they do not fit.
  static func joined(_ parts: [NamedWeight]) -> NamedWeight? {
    guard parts.count > 1 else { return parts.first }
    let tail = parts[0].shape.extents.dropFirst()
    guard parts.allSatisfy({ $0.shape.rank > 0 && $0.shape.extents.dropFirst() == tail }) else { return nil }
    var start = 0
    let pieces = parts.flatMap { part in
      defer { start += part.rows }
      return part.pieces.map { piece in
        Piece(
          stored: piece.stored, storedRows: piece.storedRows,
          ownRows: piece.ownRows.lowerBound + start..<piece.ownRows.upperBound + start, swapsHalves: piece.swapsHalves,
          isTransposed: piece.isTransposed)
      }
    }
    return NamedWeight(pieces: pieces, shape: Shape([start] + tail))
  }
}
