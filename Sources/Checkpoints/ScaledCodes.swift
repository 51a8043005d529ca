import Codecs
import Tensors

/// Eight-bit codes with scales beside them, by the scales' shape.
struct ScaledCodes {
  /// The format's name for people.
  let name: String
  let codes: GridCodec.Codes
  /// Of blocks in both directions, where a configuration says it; 128 × 128 is usual.
  var blocks: (height: Int, width: Int)?

  /// What a weight's scale is like.
  private enum Kind { case one, rows, blocks(GridCodec.Arrangement) }

  /// - Parameters:
  ///   - module: whose `codes` are one byte each.
  ///   - label: of the scales.
  ///   - onlyRows: whether the format has one scale or one for each row, and nothing else.
  func resolved(
    _ module: inout QuantisedModule, scales label: String, onlyRows: Bool = false, lastFactor: Float? = nil
  ) throws(CodecError) -> ResolvedWeight {
    let stored = try module.required(label), shape = module.codes.shape
    guard stored.dtype.isReadable else {
      throw CodecError(label, expected: "a number format that can be read", found: stored.dtype.rawValue)
    }
    let (rows, columns) = shape.flattened
    let kind = try kind(of: stored.shape, label: label, rows: rows, columns: columns)
    if onlyRows, case .blocks = kind { throw misfit(label, stored.shape, rows) }
    let arrangement: GridCodec.Arrangement =
      switch kind {
      case .one: .blocks(height: max(rows, 1), width: max(columns, 1), perRow: 1)
      case .rows: .blocks(height: 1, width: max(columns, 1), perRow: 1)
      case .blocks(let arrangement): arrangement
      }
    let codec = try GridCodec(
      name, rows: rows, columns: columns, codes: codes, bytes: module.codes.bytes, arrangement: arrangement,
      steps: StepNumbers(stored, part: label), lastFactor: lastFactor)
    var result = ResolvedWeight(codec: codec, shape: shape)
    // A bake knows scales of whole rows only.
    let isWhole = if case .blocks = kind { false } else { true }
    if isWhole, CodeTable.floats(module.codes.dtype) != nil {
      (result.dtype, result.scale) = (module.codes.dtype, label)
    }
    return result
  }

  private func misfit(_ label: String, _ shape: Shape, _ rows: Int) -> CodecError {
    CodecError(label, expected: "1 or \(rows) numbers", found: "\(shape)")
  }

  private func kind(of shape: Shape, label: String, rows: Int, columns: Int) throws(CodecError) -> Kind {
    let extents = shape.extents
    if shape.elementCount == 1 { return .one }
    if extents.first == rows, shape.elementCount == rows { return .rows }
    if shape.rank == 3, extents[0] == rows, extents[2] == 1, extents[1] > 0, columns % extents[1] == 0 {
      return .blocks(.blocks(height: 1, width: columns / extents[1], perRow: extents[1]))
    }
    guard shape.rank == 2, extents[0] > 0, extents[1] > 0 else { throw misfit(label, shape, rows) }
    if extents[0] == 1, extents[1] == columns {
      throw CodecError(label, expected: "scales of rows or blocks", found: "\(shape), one for each input")
    }
    let (height, width) = blocks ?? (128, 128)
    if (rows - 1) / height + 1 == extents[0], (columns - 1) / width + 1 == extents[1] {
      return .blocks(.blocks(height: height, width: width, perRow: extents[1]))
    }
    guard blocks == nil, rows % extents[0] == 0, columns % extents[1] == 0 else { throw misfit(label, shape, rows) }
    return .blocks(.blocks(height: rows / extents[0], width: columns / extents[1], perRow: extents[1]))
  }
}
