/// The weights in what a torch file's pickle has made, told from all else that stands beside them.
///
/// Every value is a dense tensor, a number, or named: what could be weights in a form that is not read makes the file
/// refused, and what is plainly none is left out by name.
struct PickledState {
  /// In the pickle's order, each name once.
  private(set) var tensors: [(name: String, view: PickleValue.StoredView)] = []
  /// Plain numbers under names as tensors have them: alphas, as some trainers save them.
  private(set) var numbers: [(name: String, value: Double)] = []
  /// What is no part of the weights.
  private(set) var leftOut: [String] = []

  private let path: String
  /// The first value that could be weights, and how many there are.
  private var unread: (name: String, found: String, count: Int)?

  /// - Throws: `TorchPickleError`: `value` for weights in a form that is not read, `noTensors`.
  init(_ pairs: PickleHeap.Pairs, path: String) throws(TorchPickleError) {
    self.path = path
    // Once only: a dictionary may contain itself.
    if let (wrapper, inner) = Self.wrapped(pairs) {
      add(inner)
      add(pairs.filter { if case .string(wrapper) = $0.key { false } else { true } }, beside: wrapper)
    } else {
      add(pairs)
    }
    if let unread {
      throw TorchPickleError(.value(name: unread.name, found: unread.found, others: unread.count - 1), path: path)
    }
    guard !tensors.isEmpty else { throw TorchPickleError(.noTensors, path: path) }
  }

  // MARK: Wrappers

  private static let wrappers = ["state_dict", "model", "module", "params", "params_ema", "ema"]

  /// The dictionary of weights among other values, and its name.
  private static func wrapped(_ pairs: PickleHeap.Pairs) -> (String, PickleHeap.Pairs)? {
    func first(_ isWeight: (PickleValue) -> Bool) -> (String, PickleHeap.Pairs)? {
      for wrapper in wrappers {
        for case (.string(wrapper), .dictionary(let inner)) in pairs
        where inner.value.contains(where: { isWeight($0.value) }) { return (wrapper, inner.value) }
      }
      return nil
    }
    if let found = first(\.isTensor) { return found }
    return pairs.contains { $0.value.isTensor } ? nil : first(\.isOpaque)
  }

  /// What training leaves beside weights, and may hold tensors of its own; averages among it.
  private static let bookkeeping: Set = [
    "optimizer", "optimizers", "optimizer_states", "optimizer_state", "optimizer_state_dict", "opt", "lr_scheduler",
    "lr_schedulers", "lr_scheduler_state_dict", "scheduler", "schedulers", "scheduler_state_dict", "scaler",
    "grad_scaler", "scaler_state_dict", "amp", "native_amp_scaling_state", "callbacks", "loops", "hyper_parameters",
    "hparams", "args", "training_args", "train_args", "config", "cfg", "ds_config", "epoch", "step", "global_step",
    "rng_state", "rng_states", "random_states", "cuda_rng_state", "torch_rng_state", "data_sampler", "datamodule",
    "ema", "params_ema", "state_dict_ema", "ema_state_dict", "model_ema", "ema_model",
  ]

  // MARK: Values

  private mutating func add(_ pairs: PickleHeap.Pairs, beside wrapper: String? = nil) {
    for (name, value) in Self.last(pairs) {
      if case .tensor(let view) = value, wrapper == nil, let name {
        tensors.append((name, view))
      } else {
        add(value, called: name, isBeside: wrapper != nil)
      }
    }
  }

  /// The values by name: of a key that is set twice the later one, as in Python, at the earlier one's place. `nil` stands for
  /// keys that are no names.
  private static func last(_ pairs: PickleHeap.Pairs) -> [(name: String?, value: PickleValue)] {
    var places: [String: Int] = [:], result: [(name: String?, value: PickleValue)] = []
    for (key, value) in pairs {
      if case .string(let name) = key {
        if let place = places[name] {
          result[place].value = value
          continue
        }
        places[name] = result.count
        result.append((name, value))
      } else {
        result.append((nil, value))
      }
    }
    return result
  }

  /// A name for a message: a pickle's may have any length.
  private static func title(_ name: String?) -> String {
    guard let name else { return "an entry without a name" }
    return name.utf8.count > 300 ? "\(name.prefix(100)) …" : name
  }

  /// - Parameter isBeside: whether it stands beside the dictionary of the weights and not in it.
  private mutating func add(_ value: PickleValue, called name: String?, isBeside: Bool) {
    // Modules' tensors have dots in their names, and nothing that trainers put beside them has.
    let isTensorName = name.map { $0.utf8.contains(UInt8(ascii: ".")) && !$0.hasSuffix("_extra_state") } ?? false
    if let name, isTensorName, !isBeside, let number = value.number {
      numbers.append((name, number))
    } else if name.map(Self.bookkeeping.contains) ?? false || !isTensorName && value.isPlain(orNumber: isBeside) {
      leftOut.append(Self.title(name))
    } else {
      unread = (unread?.name ?? Self.title(name), unread?.found ?? value.words, (unread?.count ?? 0) + 1)
    }
  }
}

extension PickleValue {
  fileprivate var isTensor: Bool { if case .tensor = self { true } else { false } }
  fileprivate var isOpaque: Bool { if case .opaque = self { true } else { false } }

  /// A number's value, whichever of Python's kinds it is.
  fileprivate var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  /// Whether there is nothing in it that could be a weight: texts and numbers only, however deep.
  ///
  /// - Parameter isNumberAllowed: whether a tensor of no extents counts as a number, as losses are kept.
  fileprivate func isPlain(orNumber isNumberAllowed: Bool) -> Bool {
    var seen: Set<ObjectIdentifier> = [], waiting = [self]
    while let value = waiting.popLast() {
      switch value {
      case .none, .bool, .int, .float, .string, .bytes, .global, .numberFormat: break
      case .tuple(let items), .list(let items):
        if seen.insert(ObjectIdentifier(items)).inserted { waiting += items.value }
      case .dictionary(let pairs):
        if seen.insert(ObjectIdentifier(pairs)).inserted { waiting += pairs.value.flatMap { [$0.key, $0.value] } }
      case .tensor(let view): if !isNumberAllowed || !view.extents.isEmpty { return false }
      case .storage, .opaque: return false
      }
    }
    return true
  }

  /// What it is, for a message.
  var words: String {
    switch self {
    case .none: "None"
    case .bool(let value): value ? "True" : "False"
    case .int(let value): "the number \(value)"
    case .float(let value): "the number \(value)"
    case .string: "a text"
    case .bytes: "bytes"
    case .tuple(let items), .list(let items): items.value.contains(where: \.isTensor) ? "a list of tensors" : "a list"
    case .dictionary(let pairs):
      pairs.value.contains { $0.value.isTensor } ? "a dictionary of tensors" : "a dictionary"
    case .global(let module, let name): "the name \(module).\(name)"
    case .numberFormat: "a number format"
    case .storage: "a storage without a tensor"
    case .tensor: "a tensor"
    case .opaque(let words): words
    }
  }
}
