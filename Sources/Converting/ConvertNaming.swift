import Adapters
import Factoring
import Models
import Spectra

/// Finds for each target of an adapter what the output's dialect calls it, and which rows of which module it is there.
struct ConvertNaming {
  /// A target's place in the output.
  struct Place {
    let key: TargetKey
    let name: String
    let dottedPath: String?
    let names: Target.TensorNames
    let sourceRows: Range<Int>
    /// Where the rows stand in a module that several targets share; `nil` for a module of its own.
    let share: ModulePlaces.Share?
    let swapsHalves: Bool
  }

  let family: Family
  private let candidates: [Family]
  let format: AdapterFormat
  private let output: OutputNaming
  private let names: [Component: ModuleNames]

  /// - Parameters:
  ///   - candidates: what the family can be, where it is not known.
  ///   - keys: of all targets.
  init(family: Family, candidates: [Family], format: AdapterFormat, keys: [TargetKey], numbersTextEncoders: Bool) {
    (self.family, self.candidates, self.format) = (family, candidates, format)
    output = OutputNaming(format: format, family: family, keys: keys, numbersTextEncoders: numbersTextEncoders)
    names = Dictionary(
      uniqueKeysWithValues: Set(keys.map(\.component)).map { ($0, ModuleNames(family: family, component: $0)) })
  }

  /// Whether the dialect has the names of the original authors' checkpoints.
  private var usesOriginalNames: Bool { format.dialect.layout(in: family.namesake) == .original }

  enum Outcome {
    case places([Place])
    case none(reason: String)
  }

  /// - Parameters:
  ///   - target: of an adapter in `sourceFormat`.
  ///   - key: its identity, with the network that the adapter as a whole belongs to.
  func places(of target: Target, key: TargetKey, in sourceFormat: AdapterFormat) -> Outcome {
    let isSame = format == sourceFormat
    let dialect = format.dialect
    if isSame, dialect.keepsNames || dialect.isFolder || family == .languageModel { return own(target, key) }
    if family == .languageModel { return .none(reason: "it belongs to a language model") }
    if target.isTransposed { return .none(reason: "its base stores the matrix transposed") }
    // XLabs changes only the first rows of this module.
    let whole = key.ofWholeWeight, isPart = whole != key
    guard let module = module(target, TargetKey(key.component, whole.path)),
      case let counterpart = names[key.component]!.counterpart(of: module, isLast: target.rows == 2 * target.inputs),
      counterpart.isKnown
    else { return isSame && !hasList(of: key) ? own(target, key) : .none(reason: reason(of: key)) }
    if counterpart.isParameter {
      return isSame ? own(target, key) : .none(reason: "it is a table, which has no factors there")
    }
    // What speaks the dialect already keeps its name. Names in early spellings are other names.
    if isSame, dialect.hasBaseNames, counterpart.dialect != .diffusers, module == target.dottedPath {
      return own(target, key)
    }
    if isSame, counterpart.isOnlyRead { return own(target, key) }
    // Within a dialect, networks keep the numbers that they have.
    let newKey = isSame ? key : output.key(of: key)
    let isOriginal = counterpart.dialect == .original || (counterpart.dialect == nil && isPart)
    if usesOriginalNames {
      let share =
        counterpart.dialect == .diffusers && counterpart.diffusers.count > 1
        ? ModulePlaces.Share(part: counterpart.part, of: counterpart) : nil
      if isPart { return firstRows(of: target, counterpart, key) }
      if counterpart.isOnlyRead { return written(target, counterpart, newKey) }
      return place(
        newKey, module: counterpart.original, rows: 0..<target.rows, share: share,
        swaps: counterpart.dialect == .diffusers && counterpart.swapsHalves)
    }
    guard isOriginal, counterpart.diffusers.count > 1 else {
      return place(
        newKey, module: counterpart.dialect == .original ? counterpart.diffusers[0] : module, rows: 0..<target.rows,
        share: nil, swaps: isOriginal && counterpart.swapsHalves)
    }
    return split(target, counterpart, key, isPart: isPart)
  }

  /// Whether all modules of the key's network are known: its family's denoiser, and text encoders of Stable Diffusion.
  private func hasList(of key: TargetKey) -> Bool {
    family != .unknown && family.hasNames && (!key.component.isTextEncoder || family.hasUNet)
  }

  /// Why a module has no counterpart.
  private func reason(of key: TargetKey) -> String {
    if key.component.isTextEncoder { return "no text encoder that is known has a module of this name" }
    guard family == .unknown else { return "no module of this name is known in \(family.name)" }
    return candidates.count > 1
      ? "names and shapes fit \(candidates.map(\.name).joined(separator: " and ")) alike, which the other dialect names differently"
      : "the model's family is not known, and with it the names of the other dialect"
  }

  /// Whether it is the model's family that is missing for a module's name.
  func isFamilyOpen(for key: TargetKey) -> Bool { family == .unknown && !key.component.isTextEncoder }

  /// The dotted name of the target's module in its base.
  private func module(_ target: Target, _ key: TargetKey) -> String? {
    if key.component.isTextEncoder {
      return names[key.component]!.dotted(key.path).map { TargetKey.belowTextModel($0, separator: ".") }
    }
    // A dotted name is the module's own, unless the key says more: an old spelling, or one of another dialect.
    if let own = target.dottedPath, own.underscored == key.path { return own }
    return names[key.component]!.dotted(key.path)
  }

  /// The target under the name that it has, where source and output speak the same dialect.
  private func own(_ target: Target, _ key: TargetKey) -> Outcome {
    let name = target.name, names = format.dialect.tensorNames(of: name)
    return .places([
      Place(
        key: key, name: name, dottedPath: target.dottedPath, names: names, sourceRows: 0..<target.rows, share: nil,
        swapsHalves: false)
    ])
  }

  private func place(
    _ key: TargetKey, module: String, rows: Range<Int>, share: ModulePlaces.Share?, swaps: Bool
  ) -> Outcome {
    let flat = module.underscored
    let key = TargetKey(key.component, key.component.isTextEncoder ? key.path : flat)
    guard let (name, names) = output.names(for: key, dottedPath: module) else {
      return .none(reason: "the \(key.component.title) has no name in it")
    }
    return .places([
      Place(
        key: key, name: name, dottedPath: module, names: names, sourceRows: rows, share: share, swapsHalves: swaps)
    ])
  }

  /// A fused projection's rows under the names of its parts.
  private func split(
    _ target: Target, _ counterpart: ModuleNames.Counterpart, _ key: TargetKey, isPart: Bool
  ) -> Outcome {
    // The first rows alone are queries, keys and values.
    let count = isPart ? min(3, counterpart.diffusers.count) : counterpart.diffusers.count
    guard
      let sizes = ModulePlaces.sizes(Array(counterpart.shares.prefix(count)), rows: target.rows, inputs: target.inputs)
    else { return .none(reason: "\(target.rows) rows cannot be divided into \(count) projections") }
    var places: [Place] = []
    for (module, rows) in zip(counterpart.diffusers, ModulePlaces.ranges(sizes)) {
      guard case .places(let own) = place(key, module: module, rows: rows, share: nil, swaps: false)
      else { return .none(reason: "the \(key.component.title) has no name in it") }
      places += own
    }
    return .places(places)
  }

  /// A module under a name that nobody writes: the modules that have its rows under those that are written.
  private func written(_ target: Target, _ counterpart: ModuleNames.Counterpart, _ key: TargetKey) -> Outcome {
    guard let sizes = ModulePlaces.sizes(counterpart.shares, rows: target.rows, inputs: target.inputs) else {
      return .none(reason: "\(target.rows) rows cannot be divided into \(counterpart.shares.count) projections")
    }
    var places: [Place] = []
    for (other, rows) in zip(names[key.component]!.written(for: counterpart), ModulePlaces.ranges(sizes)) {
      let share = other.diffusers.count > 1 ? ModulePlaces.Share(part: other.part, of: other) : nil
      let swaps = counterpart.swapsHalves != (other.dialect == .diffusers && other.swapsHalves)
      guard case .places(let own) = place(key, module: other.original, rows: rows, share: share, swaps: swaps) else {
        return .none(reason: "the \(key.component.title) has no name in it")
      }
      places += own
    }
    return .places(places)
  }

  /// XLabs' queries, keys and values of a single block: the first three parts of its fused projection.
  private func firstRows(of target: Target, _ counterpart: ModuleNames.Counterpart, _ key: TargetKey) -> Outcome {
    guard target.rows % 3 == 0, counterpart.diffusers.count == 4 else {
      return .none(reason: "it is a part of a projection's rows")
    }
    let size = target.rows / 3
    var places: [Place] = []
    for part in 0..<3 {
      let share = ModulePlaces.Share(part: part, of: counterpart)
      guard
        case .places(let own) = place(
          key, module: counterpart.original, rows: part * size..<(part + 1) * size, share: share, swaps: false)
      else { return .none(reason: "it is a part of a projection's rows") }
      places += own
    }
    return .places(places)
  }
}
