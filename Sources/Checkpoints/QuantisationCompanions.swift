/// The names of a checkpoint's tensors by their modules, to look for what may say what a coarse weight's numbers mean.
struct QuantisationCompanions {
  /// What is called so in a module, and below it in a few levels.
  private struct Module {
    /// Sorted.
    var labels: [Substring] = []
    /// Those that are called as quantisers call their tensors, without dots.
    var telling: [Substring] = []
  }

  /// What a coarse tensor is like.
  enum Kind {
    /// One extent: such are only weights when they are called so.
    case vector
    case wholeNumbers
    case fractions
  }

  private var modules: [Substring: [Substring: Module]] = [:]

  /// How many levels below a weight's module a part of its meaning may stand: `q.weight_quantizer._amax`,
  /// `q.weight.quant_state.bitsandbytes__nf4`.
  private static let depth = 3

  /// - Parameter names: of all tensors, with the folder of their file.
  init(_ names: [(folder: Substring, name: String)]) {
    for (folder, name) in names {
      var end = name.endIndex
      for _ in 0..<Self.depth {
        guard let dot = name[..<end].lastIndex(of: ".") else { break }
        modules[folder, default: [:]][name[..<dot], default: Module()].labels.append(name[name.index(after: dot)...])
        end = dot
      }
    }
    for folder in modules.keys {
      for module in modules[folder]!.keys {
        modules[folder]![module]!.labels.sort()
        modules[folder]![module]!.telling = modules[folder]![module]!.labels.filter {
          !$0.contains(".") && Self.isTelling($0) && !Self.isOrdinary($0)
        }
      }
    }
  }

  /// The first tensor that may be a part of a weight's meaning; `nil` when there is none.
  ///
  /// - Parameters:
  ///   - kind: what the weight is like.
  ///   - known: tensors whose meaning is known, by their full names.
  func first(beside weight: String, kind: Kind, in folder: Substring, except known: Set<String>) -> String? {
    guard let dot = weight.lastIndex(of: ".") else { return nil }
    let name = weight[..<dot], own = weight[weight.index(after: dot)...]
    if let label = modules[folder]?[weight[...]]?.labels.first(where: { !known.contains("\(weight).\($0)") }) {
      return "\(weight).\(label)"
    }
    guard let module = modules[folder]?[name] else { return nil }
    func isPart(_ label: Substring) -> Bool {
      label != own && !Self.isOrdinary(label) && !known.contains("\(name).\(label)")
    }
    let found: Substring?
    if own == "weight" {
      // Whatever stands beside it in its own module, and what a quantiser's part below it is called.
      found = module.labels.first { isPart($0) && (!$0.contains(".") || Self.isTelling($0)) }
    } else {
      guard kind != .vector else { return nil }
      // What is called as it with something more: `gate_up_proj_scale_inv`.
      let longer = own + "_", start = module.telling.partitioningIndex { $0 >= longer }
      let same = module.telling[start...].prefix { $0.hasPrefix(longer) }.first(where: isPart)
      // Parameters of a model are no whole numbers: these are packed.
      found = same ?? (kind == .wholeNumbers ? module.telling.first(where: isPart) : nil)
    }
    return found.map { "\(name).\($0)" }
  }

  /// Parameters of ordinary layers, and what speaks of their inputs only.
  private static func isOrdinary(_ label: Substring) -> Bool {
    ordinary.contains(label) || label.hasSuffix("bias") || label.hasPrefix("layer_scale")
      || label.contains("scale_shift")
  }

  private static let ordinary: Set<Substring> = [
    "input_scale", "scale_input", "input_quantizer._amax", "running_mean", "running_var", "num_batches_tracked",
    "logit_scale",
  ]

  private static func isTelling(_ label: Substring) -> Bool {
    label.split { $0 == "_" || $0 == "." }.contains { tellingWords.contains($0.lowercased()) }
  }

  private static let tellingWords: Set<String> = [
    "scale", "scales", "zero", "zeros", "zp", "qzeros", "absmax", "amax", "quant", "quantizer", "codebook", "codebooks",
    "scb",
    "qscale", "qscales",
  ]
}

extension Array {
  /// The first place whose element has a property, of elements in which those that have it come last.
  fileprivate func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
    var low = 0, high = count
    while low < high {
      let middle = (low + high) / 2
      if belongs(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
