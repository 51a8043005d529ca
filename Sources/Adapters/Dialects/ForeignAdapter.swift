import JSON
import Models
import Tensors

/// An adapter of a language model that another program keeps in a form of its own, put into PEFT's: the same modules and factors
/// under PEFT's names, and a configuration that says the same.
struct ForeignAdapter {
  /// The program that wrote it.
  let program: String
  let tensors: [(name: String, tensor: Tensor)]
  let configuration: [String: JSONValue]

  private init(_ program: String, _ tensors: [(name: String, tensor: Tensor)], _ settings: [String: JSONValue]) {
    (self.program, self.tensors) = (program, tensors)
    let modules = Set(tensors.compactMap { KeyGrammar.parse($0.name)?.module }).sorted()
    configuration = settings.merging([
      "peft_type": .string("LORA"), "bias": .string("none"), "inference_mode": .bool(true), "lora_dropout": .number(0),
      "fan_in_fan_out": .bool(false), "task_type": .string("CAUSAL_LM"), "base_model_name_or_path": .null,
      "target_modules": .array(modules.map { .string(PEFTDialect.unwrapped($0)) }),
    ]) { own, _ in own }
  }

  // MARK: MLX

  /// Of mlx-lm: `….lora_a` of inputs × rank and `….lora_b` of rank × outputs, with the scale in the configuration.
  ///
  /// - Parameter fields: of `adapter_config.json`.
  /// - Returns: `nil` for tensors that have other names.
  /// - Throws: `AdapterError` for an adapter of mlx-lm's that is no LoRA or DoRA.
  ///
  /// Source: mlx-lm (`mlx_lm/tuner/lora.py`, `dora.py`).
  init?(
    mlx tensors: [(name: String, tensor: Tensor)], fields: [String: JSONValue]?, path: String
  ) throws(AdapterError) {
    let names = tensors.map(\.name)
    guard fields?["peft_type"] == nil, names.contains(where: { $0.hasSuffix(".lora_a") }),
      names.contains(where: { $0.hasSuffix(".lora_b") })
    else { return nil }
    guard let settings = fields?["lora_parameters"]?.object, let scale = settings["scale"]?.double, scale.isFinite
    else {
      throw AdapterError(
        .configuration(reason: "lora_parameters: expected a scale, which mlx-lm's adapters have there, found none"),
        path: path)
    }
    var found: [(name: String, tensor: Tensor)] = []
    for (name, tensor) in tensors {
      let words = name.split(separator: ".", omittingEmptySubsequences: false)
      let module = PEFTDialect.prefix + words.dropLast().joined(separator: "."),
        isOfWords = words.dropLast().last == "embed_tokens"
      switch words.last {
      case "lora_a", "lora_b":
        guard tensor.shape.rank == 2, tensor.elementCount > 0, tensor.dtype.isReadable else {
          throw AdapterError(
            .problem(
              AdapterProblem(
                .factorShape(expected: "a matrix, as experts and others have none", found: "\(tensor.shape)"),
                target: name)), path: path)
        }
        let isFirst = words.last == "lora_a"
        let own =
          isOfWords
          ? isFirst ? ".lora_embedding_A" : ".lora_embedding_B" : isFirst ? ".lora_A.weight" : ".lora_B.weight"
        found.append((module + own, tensor.transposedMatrix))
      case "m": found.append((module + ".lora_magnitude_vector", tensor))
      // What else was trained is refused by its name.
      default: found.append((name, tensor))
      }
    }
    // α ÷ r is the scale for every target; ranks are those of the tensors.
    let ranks = found.filter { $0.name.hasSuffix(".lora_A.weight") || $0.name.hasSuffix(".lora_embedding_A") }.map {
      $0.tensor.shape[0]
    }
    let alphas = Dictionary(
      found.compactMap { name, tensor -> (String, JSONValue)? in
        guard let module = KeyGrammar.parse(name)?.module, name.hasSuffix("_A.weight") || name.hasSuffix("_embedding_A")
        else { return nil }
        return (PEFTDialect.unwrapped(module), .number(scale * Double(tensor.shape[0])))
      }, uniquingKeysWith: { first, _ in first })
    let rank = ranks.max() ?? 1
    self.init(
      "mlx-lm", found,
      [
        "lora_alpha": .number(scale * Double(rank)),
        "alpha_pattern": .object(Set(ranks).count > 1 ? alphas : [:]),
        "use_dora": .bool(fields?["fine_tune_type"]?.string == "dora"),
      ])
  }

  // MARK: llama.cpp

  /// Of llama.cpp: `blk.0.attn_q.weight.lora_a`, with one alpha for all.
  ///
  /// - Parameter value: of the file's metadata.
  /// - Throws: `AdapterError` for names of an architecture that is not known, and for what is no LoRA.
  ///
  /// Source: llama.cpp (`convert_lora_to_gguf.py`, `src/llama-adapter.cpp`).
  init(
    llama tensors: [(name: String, tensor: Tensor)], architecture: String?, type: String?, alpha: Double?, path: String
  ) throws(AdapterError) {
    guard type == nil || type == "lora" else {
      throw AdapterError(.notAnAdapter(reason: "found llama.cpp's adapter.type \(type!)"), path: path)
    }
    guard let architecture, let names = LlamaCppNames(architecture: architecture) else {
      throw AdapterError(
        .notAnAdapter(
          reason:
            "found one of llama.cpp for the architecture \(architecture ?? "of no name"), whose names are not known; known are "
            + LlamaCppNames.all.map(\.architecture).joined(separator: ", ")), path: path)
    }
    var found: [(name: String, tensor: Tensor)] = []
    for (name, tensor) in tensors {
      guard let ending = [".weight.lora_a", ".weight.lora_b"].first(where: name.hasSuffix),
        let module = names.module(of: name.dropping(suffix: ending))
      else {
        found.append((name, tensor))
        continue
      }
      let isFirst = ending.hasSuffix("a"), isOfWords = module.hasSuffix("embed_tokens")
      let own =
        isOfWords
        ? isFirst ? ".lora_embedding_A" : ".lora_embedding_B"
        : (names.reordersRows(of: module) ? ".rotary" : "") + (isFirst ? ".lora_A.weight" : ".lora_B.weight")
      let isMatrix = tensor.shape.rank == 2 && tensor.elementCount > 0
      // Of tables of words the first factor is stored the other way round.
      found.append(
        (PEFTDialect.prefix + module + own, isOfWords && isFirst && isMatrix ? tensor.transposedMatrix : tensor))
    }
    // Alpha 0 means a scale of 1 there, as none does here.
    self.init("llama.cpp", found, alpha.map { $0 == 0 ? [:] : ["lora_alpha": .number($0)] } ?? [:])
  }
}

extension Tensor {
  /// The transposed matrix, in the same number format.
  fileprivate var transposedMatrix: Tensor {
    let (rows, columns, size) = (shape[0], shape[1], dtype.bits / 8), own = bytes
    return Tensor(
      dtype: dtype, shape: [columns, rows],
      bytes: Bytes(count: own.count) { target in
        own.withUnsafeBytes { source in
          for row in 0..<rows {
            for column in 0..<columns {
              for byte in 0..<size {
                target[(column * rows + row) * size + byte] = source[(row * columns + column) * size + byte]
              }
            }
          }
        }
      })
  }
}
