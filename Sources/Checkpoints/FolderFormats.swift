import Codecs
import JSON
import Tensors

/// What a folder's configuration says about how its weights are stored: `quantization_config`.
struct QuantisationSettings {
  /// `compressed-tensors`, `fp8`.
  let method: String
  let fields: [String: JSONValue]

  /// Methods whose weights are read; all others are refused by their name.
  private static let readable: Set<String> = [
    "bitsandbytes", "compressed-tensors", "fp8", "modelopt", "torchao", "quanto",
  ]

  var isReadable: Bool { Self.readable.contains(method) }

  /// The extents of blocks that share a scale.
  var blocks: (height: Int, width: Int)? {
    guard let extents = fields["weight_block_size"]?.array?.map({ $0.int ?? 0 }), extents.count == 2,
      extents.allSatisfy({ (1...1 << 20).contains($0) })
    else { return nil }
    return (extents[0], extents[1])
  }

  /// `nvfp4-pack-quantized`, `float-quantized`.
  var format: String? { fields["format"]?.string ?? fields["quant_algo"]?.string }
}

/// Weights as libraries around transformers and diffusers store them.
enum FolderFormats {
  // MARK: compressed-tensors

  /// - Parameter module: whose codes are called `weight_packed`.
  /// Source: compressed-tensors 0.20, `compressors`.
  static func packed(_ module: inout QuantisedModule) throws(CodecError) -> ResolvedWeight {
    for label in ["weight_zero_point", "weight_g_idx"] where module.index(of: label) != nil {
      throw CodecError(label, expected: "no such tensor, for formats that are read", found: "it")
    }
    module.claim("input_global_scale", "input_scale")
    let (rows, width) = try module.matrix()
    if module.codes.dtype == .i32 { return try integers(&module, rows: rows, words: width) }
    guard module.codes.dtype == .u8 else {
      throw CodecError("weight_packed", expected: "I32 or U8", found: module.codes.dtype.rawValue)
    }
    let columns = 2 * width, stored = try module.required("weight_scale")
    let isMicroscaled = module.index(of: "weight_global_scale") == nil, length = isMicroscaled ? 32 : 16
    guard columns % length == 0, stored.shape == [rows, columns / length] else {
      throw CodecError("weight_scale", expected: "[\(rows), \(columns / length)]", found: "\(stored.shape)")
    }
    let steps: StepNumbers
    if isMicroscaled {
      guard stored.dtype == .u8 || stored.dtype == .f8e8m0 else {
        throw CodecError("weight_scale", expected: "U8 exponents", found: stored.dtype.rawValue)
      }
      steps = try StepNumbers(stored, part: "weight_scale", as: .f8e8m0)
    } else {
      let divisor = try module.number("weight_global_scale")
      guard divisor != 0 else { throw CodecError("weight_global_scale", expected: "a number but 0", found: "0") }
      steps = try StepNumbers(stored, part: "weight_scale", as: .f8e4m3) { $0 / divisor }
    }
    let codec = try GridCodec(
      isMicroscaled ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized", rows: rows, columns: columns,
      codes: .nibbles(CodeTable.e2m1, evenIsHigh: false), bytes: module.codes.bytes,
      arrangement: .blocks(height: 1, width: length, perRow: columns / length), steps: steps)
    return ResolvedWeight(codec: codec, shape: [rows, columns])
  }

  /// Whole numbers of four or eight bits, the lowest first, in words of 32.
  private static func integers(
    _ module: inout QuantisedModule, rows: Int, words: Int
  ) throws(CodecError) -> ResolvedWeight {
    let stored = try module.required("weight_shape")
    guard stored.elementCount == 2, stored.dtype.isReadable, case let extents = stored.doubles(),
      extents[0] == Double(rows), extents[1] >= 1, extents[1] <= Double(8 * max(words, 1))
    else {
      throw CodecError("weight_shape", expected: "[\(rows), …]", found: "\(stored.dtype.rawValue) \(stored.shape)")
    }
    let columns = Int(extents[1])
    guard let bits = [4, 8].first(where: { (columns * $0 + 31) / 32 == words }) else {
      throw CodecError("weight_packed", expected: "four or eight bits for \(columns) inputs", found: "\(words) words")
    }
    let scales = try module.required("weight_scale")
    guard scales.shape.rank == 2, scales.shape[0] == rows, scales.shape[1] > 0, columns % scales.shape[1] == 0 else {
      throw CodecError("weight_scale", expected: "[\(rows), …]", found: "\(scales.shape)")
    }
    let perRow = scales.shape[1]
    let codec = try GridCodec(
      "pack-quantized", rows: rows, columns: columns,
      codes: bits == 4
        ? .nibbles(CodeTable.nibbles(excess: 8), evenIsHigh: false) : .bytes(CodeTable.bytes(excess: 128)),
      bytes: module.codes.bytes, stride: words * 32 / bits,
      arrangement: .blocks(height: 1, width: columns / perRow, perRow: perRow),
      steps: StepNumbers(scales, part: "weight_scale"))
    return ResolvedWeight(codec: codec, shape: [rows, columns])
  }

  /// `mxfp8-quantized`: eight-bit numbers with an exponent for 32 of a row.
  static func microscaled(_ module: inout QuantisedModule) throws(CodecError) -> ResolvedWeight {
    let (rows, columns) = try module.matrix(), stored = try module.required("weight_scale")
    guard module.codes.dtype == .f8e4m3, columns % 32 == 0, stored.shape == [rows, columns / 32] else {
      throw CodecError("weight_scale", expected: "[\(rows), \(columns / 32)]", found: "\(stored.shape)")
    }
    let codec = try GridCodec(
      "mxfp8-quantized", rows: rows, columns: columns, codes: .bytes(CodeTable.e4m3), bytes: module.codes.bytes,
      arrangement: .blocks(height: 1, width: 32, perRow: columns / 32),
      steps: StepNumbers(stored, part: "weight_scale", as: .f8e8m0))
    return ResolvedWeight(codec: codec, shape: module.codes.shape)
  }

  // MARK: ModelOpt

  /// NVFP4 as NVIDIA's ModelOpt exports it: even inputs in the low nibbles, scales in the order of rows.
  static func modelOpt(_ module: inout QuantisedModule) throws(CodecError) -> ResolvedWeight {
    let (rows, half) = try module.matrix(), columns = 2 * half
    let stored = try module.required("weight_scale"), factor = try module.number("weight_scale_2")
    module.claim("input_scale")
    guard columns % 16 == 0, stored.shape == [rows, columns / 16] else {
      throw CodecError("weight_scale", expected: "[\(rows), \(columns / 16)]", found: "\(stored.shape)")
    }
    let codec = try GridCodec(
      "NVFP4 of ModelOpt", rows: rows, columns: columns, codes: .nibbles(CodeTable.e2m1, evenIsHigh: false),
      bytes: module.codes.bytes, arrangement: .blocks(height: 1, width: 16, perRow: columns / 16),
      steps: StepNumbers(stored, part: "weight_scale", as: .f8e4m3) { $0 * factor })
    return ResolvedWeight(codec: codec, shape: [rows, columns])
  }

  // MARK: torchao and quanto

  /// Eight-bit numbers with scales in a tensor of any name: torchao's `Float8Tensor`, quanto's `qint8` and `qfloat8`.
  static func scaled(
    _ module: inout QuantisedModule, _ name: String, scales: String
  ) throws(CodecError) -> ResolvedWeight {
    let codes: GridCodec.Codes
    if module.codes.dtype == .i8 {
      codes = .integers
    } else if let table = CodeTable.floats(module.codes.dtype) {
      codes = .bytes(table)
    } else {
      throw CodecError(module.label, expected: "I8, F8_E4M3 or F8_E5M2", found: module.codes.dtype.rawValue)
    }
    var result = try ScaledCodes(name: name, codes: codes).resolved(&module, scales: scales, onlyRows: true)
    // They have names that no bake writes.
    (result.dtype, result.scale) = (.f32, nil)
    return result
  }
}
