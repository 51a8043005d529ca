import Codecs
import JSON
import Tensors

/// Weights that bitsandbytes has stored: four bits by a table with a maximum for each block, or eight bits with one for each row.
///
/// Source: bitsandbytes 0.50, `functional.py` (`QuantState`) and `nn/modules.py`.
enum BitsAndBytes {
  /// The beginning of what a four-bit weight's declaration is called, below the weight's own name.
  static let state = "weight.quant_state.bitsandbytes__"

  // MARK: Four bits

  /// - Parameter kind: `nf4` or `fp4`, the end of the declaration's name.
  static func fourBits(_ module: inout QuantisedModule, kind: String) throws(CodecError) -> ResolvedWeight {
    let declaration = try module.required(state + kind)
    let text = declaration.bytes.withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    guard let fields = text.flatMap({ JSONValue(parsing: $0) })?.object else {
      throw CodecError("quant_state", expected: "a JSON object", found: "something else")
    }
    if let type = fields["quant_type"]?.string, type != kind {
      throw CodecError("quant_state", expected: "quant_type \(kind)", found: type)
    }
    let map = try table(module.required("weight.quant_map"), count: 16, "weight.quant_map")
    let stored = try module.required("weight.absmax")
    let maxima: StepNumbers
    if stored.dtype == .u8 {
      let length = try count(fields, "nested_blocksize")
      guard let offset = fields["nested_offset"]?.double.map(Float.init), offset.isFinite else {
        throw CodecError("nested_offset", expected: "a number", found: fields["nested_offset"]?.compactText ?? "none")
      }
      let nestedMap = try table(module.required("weight.nested_quant_map"), count: 256, "weight.nested_quant_map")
      let steps = try StepNumbers(module.required("weight.nested_absmax"), part: "weight.nested_absmax")
      let needed = (stored.elementCount + length - 1) / length
      guard steps.count == needed else {
        throw CodecError("weight.nested_absmax", expected: "\(needed) numbers", found: "\(steps.count)")
      }
      maxima = .nested(
        codes: stored, part: "weight.absmax", table: nestedMap, steps: steps, length: length, offset: offset)
    } else {
      maxima = try StepNumbers(stored, part: "weight.absmax")
    }
    return try blocks(module, kind, fields, map: map, maxima: maxima)
  }

  /// The same as ComfyUI's declarations tell it: `weight_scale` has the maxima, `weight_code` the table.
  static func comfy(
    _ module: inout QuantisedModule, _ fields: [String: JSONValue]
  ) throws(CodecError) -> ResolvedWeight {
    guard fields["double_quant"]?.bool != true else {
      throw CodecError("double_quant", expected: "false", found: "true")
    }
    let map = try table(module.required("weight_code"), count: 16, "weight_code")
    let maxima = try StepNumbers(module.required("weight_scale"), part: "weight_scale")
    return try blocks(module, "nf4", fields, map: map, maxima: maxima)
  }

  private static func blocks(
    _ module: QuantisedModule, _ kind: String, _ fields: [String: JSONValue], map: [Float], maxima: StepNumbers
  ) throws(CodecError) -> ResolvedWeight {
    let length = try count(fields, "blocksize")
    let extents = fields["shape"]?.array?.map { $0.int ?? -1 } ?? []
    guard !extents.isEmpty, let elements = Shape.elementCount(of: extents), elements <= 2 * module.codes.bytes.count
    else {
      throw CodecError(
        "shape", expected: "one of up to \(2 * module.codes.bytes.count) numbers",
        found: fields["shape"]?.compactText ?? "none")
    }
    guard module.codes.bytes.count == (elements + 1) / 2 else {
      throw CodecError("weight", expected: "\((elements + 1) / 2) bytes of codes", found: "\(module.codes.bytes.count)")
    }
    let needed = (elements + length - 1) / length, shape = Shape(extents), (rows, columns) = shape.flattened
    guard maxima.count == needed else {
      throw CodecError(maxima.part, expected: "\(needed) numbers", found: "\(maxima.count)")
    }
    let codec = try GridCodec(
      kind, rows: rows, columns: columns, codes: .nibbles(map, evenIsHigh: true), bytes: module.codes.bytes,
      arrangement: .flat(length: length), steps: maxima)
    return ResolvedWeight(codec: codec, shape: shape)
  }

  // MARK: Eight bits

  static func eightBits(_ module: inout QuantisedModule) throws(CodecError) -> ResolvedWeight {
    if let format = module.part("weight_format"), format.scalar != 0 {
      throw CodecError(
        "weight_format", expected: "0, for rows", found: format.scalar.map { Numbers.short($0) } ?? "\(format.shape)")
    }
    // The library multiplies by the row's maximum first, and then by 1/127 in single precision.
    let scaled = ScaledCodes(name: "int8 of bitsandbytes", codes: .integers)
    return try scaled.resolved(&module, scales: "SCB", onlyRows: true, lastFactor: 0x1.020408p-7)
  }

  // MARK: Parts

  private static func table(_ tensor: Tensor, count: Int, _ label: String) throws(CodecError) -> [Float] {
    guard tensor.elementCount == count, tensor.dtype.unitRoundoff != nil else {
      throw CodecError(label, expected: "\(count) numbers", found: "\(tensor.dtype.rawValue) \(tensor.shape)")
    }
    let values = tensor.floats()
    if let bad = values.first(where: { !$0.isFinite }) {
      throw CodecError(label, expected: "finite numbers", found: "\(bad)")
    }
    return values
  }

  private static func count(_ fields: [String: JSONValue], _ key: String) throws(CodecError) -> Int {
    guard let count = fields[key]?.int, count > 0, count <= 1 << 20 else {
      throw CodecError(key, expected: "a whole number from 1", found: fields[key]?.compactText ?? "none")
    }
    return count
  }
}
