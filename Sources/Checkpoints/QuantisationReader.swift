import Codecs
import JSON
import Models
import Tensors

/// Finds the weights of a checkpoint that are stored as codes, and the tensors that say what they mean.
///
/// Each module is looked at by itself: one file may hold several formats and plain weights. What is not understood is refused.
struct QuantisationReader {
  /// With what was found.
  private(set) var weights: [Checkpoint.Weight]
  private let files: [CheckpointFolder.Part]
  private let path: String
  /// The tensors' places by folder and full name.
  private var places: [Substring: [String: Int]] = [:]
  /// Declared formats by folder and module, as headers have them.
  private var headers: [Substring: [String: JSONValue]] = [:]

  /// - Throws: `CheckpointError`: `quantised`, `codec` or `scaled`, naming the tensor.
  static func resolved(
    _ weights: [Checkpoint.Weight], _ files: [CheckpointFolder.Part], path: String
  ) throws(CheckpointError) -> [Checkpoint.Weight] {
    var reader = QuantisationReader(weights, files, path: path)
    try reader.readHeaders()
    for index in weights.indices { try reader.resolve(index) }
    try reader.requireUse()
    try reader.requirePlainWeights()
    return reader.weights
  }

  private init(_ weights: [Checkpoint.Weight], _ files: [CheckpointFolder.Part], path: String) {
    (self.weights, self.files, self.path) = (weights, files, path)
    for (index, weight) in weights.enumerated() { places[folder(of: weight), default: [:]][weight.stored.name] = index }
  }

  private func folder(of weight: Checkpoint.Weight) -> Substring {
    let place = files[weight.file].relativePath
    return place.lastIndex(of: "/").map { place[..<$0] } ?? ""
  }

  private func tensor(_ index: Int) -> Tensor { files[weights[index].file].contents.tensor(weights[index].stored) }

  // MARK: Declarations in headers

  private mutating func readHeaders() throws(CheckpointError) {
    for file in files {
      let metadata = file.contents.metadata
      guard let text = metadata.first(where: { $0.key == QuantisationHeader.key })?.value else { continue }
      guard let header = QuantisationHeader(text) else {
        throw CheckpointError(
          .quantised(tensor: QuantisationHeader.key, scheme: "a declaration that cannot be read"), path: path)
      }
      let folder = file.relativePath.lastIndex(of: "/").map { file.relativePath[..<$0] } ?? ""
      for (module, layer) in header.layers {
        let other = headers[folder, default: [:]].updateValue(layer, forKey: module)
        guard let other, !ComfyFormats.agree(other.object ?? [:], layer.object ?? [:]) else { continue }
        throw CheckpointError(
          .quantised(tensor: module, scheme: "declarations in the headers of two files that contradict each other"),
          path: path)
      }
    }
  }

  /// The header's words for a module, and the name that it has there: in a model's single file perhaps one without the
  /// network's prefix, or with it.
  private func declaration(
    of module: String, in folder: Substring
  ) throws(CheckpointError) -> (name: String, fields: [String: JSONValue])? {
    guard let layers = headers[folder] else { return nil }
    var found: (name: String, fields: [String: JSONValue])?
    for name in QuantisationHeader.spellings(of: module) {
      guard let fields = layers[name]?.object, fields["format"] != nil else { continue }
      if let found {
        throw CheckpointError(
          .quantised(tensor: module, scheme: "declarations in the header as \(found.name) and as \(name)"), path: path)
      }
      found = (name, fields)
    }
    return found
  }

  // MARK: One tensor

  private mutating func resolve(_ index: Int) throws(CheckpointError) {
    let stored = weights[index].stored, name = stored.name
    if let codec = files[weights[index].file].contents.codec(stored) {
      weights[index].quantisation = StoredWeight(codec: codec)
      return
    }
    guard let dot = name.lastIndex(of: ".") else { return }
    let label = String(name[name.index(after: dot)...])
    switch label {
    case "weight": try resolveWeight(index)
    case "weight_packed":
      try add(index, label: label, to: "weight") { module throws(CodecError) in try FolderFormats.packed(&module) }
    case "_weight_qdata":
      try requireType(of: index)
      try add(index, label: label, to: "weight") { module throws(CodecError) in
        try FolderFormats.scaled(&module, "Float8Tensor of torchao", scales: "_weight_scale")
      }
    case "_data" where name.hasSuffix(".weight._data"):
      try add(index, label: "weight._data", to: "weight") { module throws(CodecError) in
        module.claim("input_scale", "output_scale")
        guard module.index(of: "weight._shift") == nil else {
          throw CodecError("weight._shift", expected: "no such tensor, for formats that are read", found: "it")
        }
        return try FolderFormats.scaled(&module, "a quantisation of quanto", scales: "weight._scale")
      }
    default: break
    }
  }

  private mutating func resolveWeight(_ index: Int) throws(CheckpointError) {
    let weight = weights[index], folder = folder(of: weight), name = weight.stored.name
    let module = name.dropping(suffix: ".weight"), dtype = weight.stored.dtype
    func has(_ label: String) -> Bool { places[folder]![module + "." + label] != nil }
    if let (declared, fields) = try declared(module, in: folder) {
      return try add(index, label: "weight", to: "weight", declaredName: declared) { module throws(CodecError) in
        try ComfyFormats.resolved(&module, fields)
      }
    }
    for kind in ["nf4", "fp4"] where has(BitsAndBytes.state + kind) {
      return try add(index, label: "weight", to: "weight") { module throws(CodecError) in
        try BitsAndBytes.fourBits(&module, kind: kind)
      }
    }
    if dtype == .i8, has("SCB") {
      return try add(index, label: "weight", to: "weight") { module throws(CodecError) in
        try BitsAndBytes.eightBits(&module)
      }
    }
    let settings = files[weight.file].quantisation
    if dtype == .u8, has("weight_scale_2"), settings?.method == "modelopt" {
      return try add(index, label: "weight", to: "weight") { module throws(CodecError) in
        try FolderFormats.modelOpt(&module)
      }
    }
    if dtype == .i8, has("weight_scale"), settings?.format == "int-quantized" {
      return try add(index, label: "weight", to: "weight") { module throws(CodecError) in
        try ScaledCodes(name: "int-quantized", codes: .integers).resolved(&module, scales: "weight_scale")
      }
    }
    guard let table = CodeTable.floats(dtype),
      let scale = ["scale_weight", "weight_scale", "weight_scale_inv"].first(where: has)
    else { return }
    let others = ["scale_weight", "weight_scale", "weight_scale_inv"].filter { $0 != scale && has($0) }
    if let other = others.first {
      throw CheckpointError(
        .scaled(weight: name, dtype: dtype.rawValue, side: "\(module).\(scale) and \(module).\(other)"), path: path)
    }
    let isMicroscaled = settings?.format == "mxfp8-quantized"
    let blocks = scale == "scale_weight" ? nil : settings?.blocks
    try add(index, label: "weight", to: "weight") { module throws(CodecError) in
      module.claim("input_scale", "scale_input")
      if isMicroscaled { return try FolderFormats.microscaled(&module) }
      return try ScaledCodes(name: "scaled \(dtype.rawValue)", codes: .bytes(table), blocks: blocks).resolved(
        &module, scales: scale)
    }
  }

  /// What ComfyUI's declaration of a module says, and its name in the header where it stands there.
  private func declared(
    _ module: String, in folder: Substring
  ) throws(CheckpointError) -> (String?, [String: JSONValue])? {
    let header = try declaration(of: module, in: folder)
    guard let index = places[folder]![module + ".comfy_quant"], weights[index].stored.dtype == .u8 else {
      return header.map { ($0.name, $0.fields) }
    }
    let text = tensor(index).bytes.withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    guard let fields = text.flatMap({ JSONValue(parsing: $0) })?.object else {
      throw CheckpointError(
        .quantised(tensor: weights[index].stored.name, scheme: "a declaration that cannot be read"), path: path)
    }
    if let header, !ComfyFormats.agree(header.fields, fields) {
      throw CheckpointError(
        .quantised(
          tensor: weights[index].stored.name,
          scheme: "a declaration of \(JSONValue.object(fields).compactText), and of "
            + "\(JSONValue.object(header.fields).compactText) in the header"), path: path)
    }
    return (header?.name, fields)
  }

  /// torchao says in the header what its tensors are.
  private func requireType(of index: Int) throws(CheckpointError) {
    let weight = weights[index]
    let name = weight.stored.name.dropping(suffix: "_weight_qdata") + "weight"
    guard let text = files[weight.file].contents.metadata.first(where: { $0.key == name })?.value,
      let type = JSONValue(parsing: text)?.object?["_type"]?.string, type != "Float8Tensor"
    else { return }
    throw CheckpointError(.quantised(tensor: name, scheme: "a \(type) of torchao"), path: path)
  }

  // MARK: What was found

  /// Makes the codec of a weight, and takes note of the tensors that went into it.
  private mutating func add(
    _ index: Int, label: String, to ownLabel: String, declaredName: String? = nil,
    _ make: (inout QuantisedModule) throws(CodecError) -> ResolvedWeight
  ) throws(CheckpointError) {
    let weight = weights[index], names = places[folder(of: weight)]!
    let moduleName = weight.stored.name.dropping(suffix: "." + label)
    var module = QuantisedModule(
      name: moduleName, label: label, codes: tensor(index), place: { names[$0] },
      tensor: { [weights, files] in files[weights[$0].file].contents.tensor(weights[$0].stored) })
    let resolved: ResolvedWeight
    do throws(CodecError) {
      resolved = try make(&module)
      try resolved.codec.requireSteps()
    } catch {
      throw CheckpointError(.codec(weight: weight.stored.name, fault: error), path: path)
    }
    weights[index].quantisation = StoredWeight(
      codec: resolved.codec, sides: module.sides, scale: resolved.scale.flatMap { module.index(of: $0) },
      declaredName: declaredName)
    weights[index].entry = WeightFile.Entry(
      name: moduleName + "." + ownLabel, dtype: resolved.dtype, shape: resolved.shape, range: weight.stored.range)
    weights[index].name = weight.name.dropping(suffix: label) + ownLabel
    for side in module.sides {
      weights[side].owner = index
      weights[side].component = .other
    }
  }

  // MARK: What is left

  /// Refuses declarations of nothing.
  private mutating func requireUse() throws(CheckpointError) {
    for (number, file) in files.enumerated() {
      guard let settings = file.quantisation else { continue }
      guard weights.contains(where: { $0.file == number && $0.quantisation != nil }) else {
        throw CheckpointError(
          .quantisedConfiguration(file: "config.json", method: "quant_method \(settings.method) with plain weights"),
          path: path)
      }
    }
    for index in weights.indices where weights[index].owner == nil {
      let name = weights[index].stored.name
      // What says of a whole file that it is scaled is no weight either.
      if name == "scaled_fp8" || name.hasSuffix(".scaled_fp8") { weights[index].component = .other }
      // Beside weights that need none, scales are left alone.
      if name.hasSuffix(".scale_weight"), let owner = places[folder(of: weights[index])]![name.scaledWeight] {
        (weights[index].owner, weights[index].component) = (owner, .other)
      }
    }
  }

  /// Refuses weights whose numbers may not be what they stand for.
  ///
  /// A change that is added to such numbers would be another one, or none, and nothing in the file would show it. So all that
  /// is not known to leave a coarse weight as it is counts as a part of its meaning.
  private func requirePlainWeights() throws(CheckpointError) {
    for weight in weights where weight.owner == nil && weight.quantisation == nil {
      for (suffix, scheme) in Self.suffixes where weight.stored.name.hasSuffix(suffix) {
        throw CheckpointError(.quantised(tensor: weight.stored.name, scheme: scheme), path: path)
      }
    }
    let coarse = weights.indices.filter { index in
      let weight = weights[index], stored = weight.stored
      guard weight.owner == nil else { return false }
      if let quantisation = weight.quantisation { return !(quantisation.codec is BlockCodec) }
      return stored.dtype.bits <= 8 && stored.dtype != .bool && stored.shape.rank > 0
    }
    guard !coarse.isEmpty else { return }
    let companions = QuantisationCompanions(weights.map { (folder: folder(of: $0), name: $0.stored.name) })
    for index in coarse {
      let weight = weights[index]
      if let side = companions.first(
        beside: weight.stored.name, kind: Self.kind(weight.stored), in: folder(of: weight),
        except: Set(sides(of: index)))
      {
        throw CheckpointError(
          .scaled(weight: weight.stored.name, dtype: weight.stored.dtype.rawValue, side: side), path: path)
      }
    }
  }

  /// The names of the tensors whose meaning for a weight is known.
  private func sides(of index: Int) -> [String] {
    let own = weights[index].quantisation?.sides.map { weights[$0].stored.name } ?? []
    return own
      + [weights[index].stored.name.dropping(suffix: "weight") + "scale_weight"].filter {
        places[folder(of: weights[index])]![$0].map { weights[$0].owner == index } ?? false
      }
  }

  private static func kind(_ entry: WeightFile.Entry) -> QuantisationCompanions.Kind {
    if entry.shape.rank == 1 { return .vector }
    return [.u8, .i8].contains(entry.dtype) ? .wholeNumbers : .fractions
  }

  private static let suffixes = [
    (".comfy_quant", "a quantisation of ComfyUI"), (".weight_scale", "weights with separate quantisation scales"),
    (".quant_state.bitsandbytes__nf4", "NF4 of bitsandbytes"),
    (".quant_state.bitsandbytes__fp4", "FP4 of bitsandbytes"),
    (".quant_map", "8-bit weights of bitsandbytes"), (".SCB", "8-bit weights of bitsandbytes"),
    (".wscales", "packed weights of SVDQuant (nunchaku)"),
    (".qweight", "packed integer weights (GPTQ, AWQ or SVDQuant)"),
    (".weight._data._data", "four-bit weights of quanto"), (".weight:qdata", "weights of torchao under old names"),
  ]
}

extension String {
  /// The weight that a scale is called after.
  fileprivate var scaledWeight: String { dropping(suffix: "scale_weight") + "weight" }
}
