import Codecs
import JSON
import Tensors

/// The formats that ComfyUI declares for each module, in a tensor called `comfy_quant` or in the file's header.
///
/// Source of names and layouts: ComfyUI's `quant_ops.py` and `QUANTIZATION.md`, comfy-kitchen 0.2.40.
enum ComfyFormats {
  /// - Parameters:
  ///   - module: whose codes are called `weight`.
  ///   - fields: of the declaration.
  static func resolved(
    _ module: inout QuantisedModule, _ fields: [String: JSONValue]
  ) throws(CodecError) -> ResolvedWeight {
    let format = fields["format"]?.string ?? ""
    let fields = fields.merging(fields["params"]?.object ?? [:]) { own, _ in own }
    module.claim("comfy_quant", "input_scale", "comfy_attention.config")
    // Names of other formats would be scales that nobody reads.
    for label in ["scale_weight", "weight_scale_inv"] where module.index(of: label) != nil {
      throw CodecError(label, expected: "no such tensor beside a declared format", found: "it")
    }
    if try isRotated(fields), !["int8_tensorwise", "convrot_w4a4", "asym_w4a8_int8"].contains(format) {
      throw CodecError("convrot", expected: "false for \(format)", found: "true")
    }
    switch format {
    case "float8_e4m3fn": return try float8(&module, .f8e4m3, format)
    case "float8_e5m2": return try float8(&module, .f8e5m2, format)
    case "int8_tensorwise": return try int8(&module, fields)
    case "mxfp8": return try mxfp8(&module)
    case "nvfp4": return try nvfp4(&module)
    case "convrot_w4a4": return try w4a4(&module, fields)
    case "asym_w4a8_int8": return try w4a8(&module, fields)
    case "awq_w4a16": return try awq(&module, fields)
    case "nf4": return try BitsAndBytes.comfy(&module, fields)
    default:
      throw CodecError("format", expected: "one that is read, such as float8_e4m3fn or nvfp4", found: "\"\(format)\"")
    }
  }

  // MARK: Eight bits

  private static func float8(
    _ module: inout QuantisedModule, _ dtype: DType, _ format: String
  ) throws(CodecError) -> ResolvedWeight {
    guard module.codes.dtype == dtype || module.codes.dtype == .u8, let table = CodeTable.floats(dtype) else {
      throw CodecError("weight", expected: dtype.rawValue, found: module.codes.dtype.rawValue)
    }
    let codes = GridCodec.Codes.bytes(table)
    if module.index(of: "weight_scale") != nil {
      return try ScaledCodes(name: format, codes: codes).resolved(&module, scales: "weight_scale")
    }
    // Without a scale the codes are the numbers.
    let (rows, columns) = module.codes.shape.flattened
    let codec = try GridCodec(
      format, rows: rows, columns: columns, codes: codes, bytes: module.codes.bytes,
      arrangement: .blocks(height: max(rows, 1), width: max(columns, 1), perRow: 1),
      steps: StepNumbers(Tensor([1], shape: [], dtype: .f32), part: "weight_scale"))
    return ResolvedWeight(
      codec: codec, shape: module.codes.shape, dtype: module.codes.dtype == dtype ? dtype : .f32)
  }

  private static func int8(
    _ module: inout QuantisedModule, _ fields: [String: JSONValue]
  ) throws(CodecError) -> ResolvedWeight {
    guard module.codes.dtype == .i8 else {
      throw CodecError("weight", expected: "I8", found: module.codes.dtype.rawValue)
    }
    let plain = try ScaledCodes(name: "int8_tensorwise", codes: .integers).resolved(
      &module, scales: "weight_scale", onlyRows: true)
    guard try isRotated(fields) else { return plain }
    return ResolvedWeight(
      codec: try RotatedCodec(plain.codec, group: try count(fields, "convrot_groupsize", usual: 256)),
      shape: plain.shape)
  }

  private static func mxfp8(_ module: inout QuantisedModule) throws(CodecError) -> ResolvedWeight {
    let (height, width) = try module.matrix()
    guard CodeTable.floats(module.codes.dtype) != nil || module.codes.dtype == .u8, module.codes.dtype != .f8e5m2 else {
      throw CodecError("weight", expected: "F8_E4M3", found: module.codes.dtype.rawValue)
    }
    let (rows, columns) = try extents(&module, height, width, padding: 32)
    let steps = try tiled(&module, "weight_scale", as: .f8e8m0, rows: height, blocks: width / 32)
    let codec = try GridCodec(
      "mxfp8", rows: rows, columns: columns, codes: .bytes(CodeTable.e4m3), bytes: module.codes.bytes, stride: width,
      arrangement: .blocks(height: 1, width: 32, perRow: width / 32), steps: steps)
    return ResolvedWeight(codec: codec, shape: [rows, columns])
  }

  // MARK: Four bits

  private static func nvfp4(_ module: inout QuantisedModule) throws(CodecError) -> ResolvedWeight {
    let (height, half) = try packed(module, [.u8]), width = 2 * half
    let factor = try module.number("weight_scale_2")
    let smoothing = module.part("pre_quant_scale")
    if let smoothing, smoothing.dtype.unitRoundoff == nil {
      throw CodecError("pre_quant_scale", expected: "numbers", found: smoothing.dtype.rawValue)
    }
    let factors = smoothing?.floats()
    let (rows, own) = try extents(&module, height, width, padding: 16)
    let columns = factors?.count ?? own
    guard columns <= width, columns > width - 16 else {
      throw CodecError("pre_quant_scale", expected: "\(width) numbers", found: "\(columns)")
    }
    let steps = try tiled(
      &module, "weight_scale", as: .f8e4m3, rows: height, blocks: width / 16, change: { $0 * factor })
    let codec = try GridCodec(
      "nvfp4", rows: rows, columns: columns, codes: .nibbles(CodeTable.e2m1, evenIsHigh: true),
      bytes: module.codes.bytes, stride: width, arrangement: .blocks(height: 1, width: 16, perRow: width / 16),
      steps: steps, columnFactors: factors)
    return ResolvedWeight(codec: codec, shape: [rows, columns])
  }

  private static func w4a4(
    _ module: inout QuantisedModule, _ fields: [String: JSONValue]
  ) throws(CodecError) -> ResolvedWeight {
    let (rows, half) = try packed(module, [.i8, .u8]), columns = 2 * half
    let codec = try GridCodec(
      "convrot_w4a4", rows: rows, columns: columns, codes: .nibbles(CodeTable.signedNibbles, evenIsHigh: false),
      unused: [8], bytes: module.codes.bytes, arrangement: .blocks(height: 1, width: max(columns, 1), perRow: 1),
      steps: try steps(&module, "weight_scale", count: rows))
    let group = try count(fields, "convrot_groupsize", usual: 256)
    return ResolvedWeight(codec: try RotatedCodec(codec, group: group), shape: [rows, columns])
  }

  private static func w4a8(
    _ module: inout QuantisedModule, _ fields: [String: JSONValue]
  ) throws(CodecError) -> ResolvedWeight {
    let (rows, half) = try packed(module, [.i8, .u8]), columns = 2 * half
    let length = try count(fields, "group_size", usual: 16)
    let table = module.part("weight_codebook")
    if let table, table.dtype.unitRoundoff == nil || table.elementCount != 16 {
      throw CodecError("weight_codebook", expected: "16 numbers", found: "\(table.dtype.rawValue) \(table.shape)")
    }
    // A row with six bits for each number is longer than its scales say.
    let codec = try CodebookCodec(
      "asym_w4a8_int8", rows: rows, columns: columns, bytes: module.codes.bytes,
      table: table?.floats() ?? CodeTable.nibbles(excess: 8),
      steps: StepNumbers(try module.required("weight_s_rel"), part: "weight_s_rel", as: .f8e4m3), length: length,
      rowSteps: StepNumbers(try module.required("weight_s_channel"), part: "weight_s_channel"))
    let group = try count(fields, "convrot_groupsize", usual: 256)
    return ResolvedWeight(codec: try RotatedCodec(codec, group: group), shape: [rows, columns])
  }

  private static func awq(
    _ module: inout QuantisedModule, _ fields: [String: JSONValue]
  ) throws(CodecError) -> ResolvedWeight {
    let (rows, half) = try packed(module, [.i8, .u8]), columns = 2 * half
    let length = try count(fields, "group_size", usual: 64)
    guard columns % length == 0 else {
      throw CodecError("group_size", expected: "a divisor of \(columns)", found: "\(length)")
    }
    let blocks = columns / length
    func turned(_ label: String, _ change: (@Sendable (Float) -> Float)?) throws(CodecError) -> StepNumbers {
      let stored = try module.required(label)
      guard stored.shape == [blocks, rows] else {
        throw CodecError(label, expected: "[\(blocks), \(rows)]", found: "\(stored.shape)")
      }
      return .transposed(try StepNumbers(stored, part: label, change: change), rows: rows, columns: blocks)
    }
    let steps = try turned("weight_scale", nil)
    // Added, where other formats subtract.
    let offsets = try turned("weight_zeros", { -$0 })
    let codec = try GridCodec(
      "awq_w4a16", rows: rows, columns: columns, codes: .nibbles(CodeTable.nibbles(excess: 8), evenIsHigh: false),
      bytes: module.codes.bytes, arrangement: .blocks(height: 1, width: length, perRow: blocks), steps: steps,
      offsets: offsets)
    return ResolvedWeight(codec: codec, shape: [rows, columns])
  }

  // MARK: Parts

  private static func isRotated(_ fields: [String: JSONValue]) throws(CodecError) -> Bool {
    guard let value = fields["convrot"], value != .null else { return false }
    guard let isRotated = value.bool else {
      throw CodecError("convrot", expected: "true or false", found: value.compactText)
    }
    return isRotated
  }

  /// Whether two declarations of a module say the same of its numbers; what is said of running it does not count.
  static func agree(_ a: [String: JSONValue], _ b: [String: JSONValue]) -> Bool {
    func meaning(_ fields: [String: JSONValue]) -> [JSONValue] {
      let all = fields.merging(fields["params"]?.object ?? [:]) { own, _ in own }
      return ["format", "convrot", "convrot_groupsize", "group_size", "num_experts"].map { key in
        let value = all[key] ?? .null
        return key == "convrot" && value == .bool(false) ? .null : value
      }
    }
    return meaning(a) == meaning(b)
  }

  private static func packed(
    _ module: QuantisedModule, _ formats: [DType]
  ) throws(CodecError) -> (rows: Int, columns: Int) {
    guard formats.contains(module.codes.dtype) else {
      throw CodecError(
        module.label, expected: formats.map(\.rawValue).joined(separator: " or "), found: module.codes.dtype.rawValue)
    }
    return try module.matrix()
  }

  private static func steps(
    _ module: inout QuantisedModule, _ label: String, count: Int
  ) throws(CodecError) -> StepNumbers {
    let stored = try module.required(label)
    guard stored.elementCount == count else {
      throw CodecError(label, expected: "\(count) numbers", found: "\(stored.shape)")
    }
    return try StepNumbers(stored, part: label)
  }

  private static func tiled(
    _ module: inout QuantisedModule, _ label: String, as dtype: DType, rows: Int, blocks: Int,
    change: (@Sendable (Float) -> Float)? = nil
  ) throws(CodecError) -> StepNumbers {
    let stored = try module.required(label)
    let expected = (rows + 127) / 128 * 128 * ((blocks + 3) / 4 * 4)
    guard stored.elementCount == expected, stored.dtype == dtype || stored.dtype == .u8 else {
      throw CodecError(
        label, expected: "\(expected) numbers of \(dtype.rawValue) in tiles",
        found: "\(stored.dtype.rawValue) \(stored.shape)")
    }
    return try .tiled(StepNumbers(stored, part: label, as: dtype, change: change), rows: rows, columns: blocks)
  }

  /// The extents without padding: the bias says how many outputs there are, and nothing how many inputs.
  private static func extents(
    _ module: inout QuantisedModule, _ height: Int, _ width: Int, padding: Int
  ) throws(CodecError) -> (rows: Int, columns: Int) {
    guard height % padding == 0, width % padding == 0 else {
      throw CodecError(
        "weight", expected: "extents that are multiples of \(padding)", found: "[\(height), \(width)]")
    }
    guard let bias = module.look("bias"), bias.shape.rank == 1 else { return (height, width) }
    guard bias.elementCount <= height, bias.elementCount > height - padding else {
      throw CodecError("bias", expected: "\(height) numbers, or up to \(padding - 1) fewer", found: "\(bias.shape)")
    }
    return (bias.elementCount, width)
  }

  private static func count(
    _ fields: [String: JSONValue], _ key: String, usual: Int
  ) throws(CodecError) -> Int {
    guard let value = fields[key], value != .null else { return usual }
    guard let count = value.int, count > 0, count <= 1 << 20 else {
      throw CodecError(key, expected: "a whole number from 1", found: value.compactText)
    }
    return count
  }
}
