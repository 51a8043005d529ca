/// The names of a network's modules in both dialects, for adapters, which have no checkpoint at hand to look them up in.
///
/// Names are of modules: a weight's less `.weight`.
public struct ModuleNames: Sendable {
  /// Whose names they are: the original authors', or diffusers' (Hugging Face's).
  public enum Dialect: Sendable { case original, diffusers }

  /// What a module is in the other dialect.
  public struct Counterpart: Sendable {
    /// How many rows a part has: as many as there are input columns, or an equal part of what is left.
    public enum Share: Sendable { case inputs, rest }

    /// The dialect of the name that was asked for; `nil` where both say the same, and for an unknown name.
    public let dialect: Dialect?
    /// The original authors' name.
    public let original: String
    /// Diffusers' names; several where they share the rows of the original, in order.
    public let diffusers: [String]
    /// Which of `diffusers` the module is, where its name is diffusers'.
    public let part: Int
    /// How many rows each of `diffusers` has: as many as there are input columns, or an equal share of what is left.
    public let shares: [Share]
    /// Whether the two halves of the rows stand in opposite order.
    public let swapsHalves: Bool
    /// Whether a map has the name. Other names are nobody's: nothing says what they are in the other dialect.
    public let isKnown: Bool
    /// Whether it is a parameter of its own, a table say, rather than a module with a weight.
    public let isParameter: Bool
    /// Whether the original name is one that adapters come with and nobody writes: `canonical` has those that are written.
    public let isOnlyRead: Bool
  }

  /// One side of a rule, as modules are called: a weight's name less `.weight`.
  private struct Name {
    let pattern: NamePattern
    let flat: NamePattern
    let left: NamePattern
    let rights: [NamePattern]
    let rule: NameMap.Rule
    let isLeft: Bool
    /// Which of the rule's right-hand names it is.
    let part: Int
    /// Whether the rule is about the last block of a row only.
    let isOfLast: Bool

    var saysBothAlike: Bool { rights == [left] }
  }

  /// In the maps' order, the left side of each rule first.
  private let names: [Name]
  private let placesByWord: [[UInt8]: [Int]]
  /// By the levels that stand before the first number that may be any.
  private let placesByFlatBeginning: [[UInt8]: [Int]]
  /// How the names of convolutions end: with the last level that is no number.
  private let kernels: [(ending: String, kernel: [Int])]

  /// - Parameter family: for an unknown one, names of Stable Diffusion's UNets are taken for what they look like.
  public init(family: Family, component: Component) {
    // Text encoders have Hugging Face's names in every dialect of adapters.
    let maps =
      component.isTextEncoder
      ? [NameMap.textEncoders] : family.namesake.maps(of: component)
    let first = Set(component.isTextEncoder ? [] : family.namesake.writtenNames.map { NamePattern($0) })
    let rules = maps.flatMap(\.rules).filter { !$0.left.hasRest }
    let names = (rules.filter { first.contains($0.left) } + rules.filter { !first.contains($0.left) })
      .flatMap(Self.names)
    func places(_ word: (Name) -> [UInt8]) -> [[UInt8]: [Int]] {
      names.indices.reduce(into: [:]) { $0[word(names[$1]), default: []].append($1) }
    }
    self.names = names
    kernels = names.filter { !$0.rule.kernel.isEmpty }.map { name in
      let levels = name.pattern.text.split(separator: ".")
      let start = levels.lastIndex { Int($0) == nil } ?? 0
      return (levels[start...].joined(separator: "_"), name.rule.kernel)
    }
    placesByWord = places { Self.firstWord($0.pattern.beginning, endingAt: UInt8(ascii: ".")) }
    placesByFlatBeginning = places { name in
      let beginning = name.flat.beginning[...]
      return name.flat.isText ? Array(beginning) : Array(beginning[..<Self.end(ofLevels: beginning)])
    }
  }

  /// Whether a name begins as those of Stable Diffusion's UNets do: their map is long, and most adapters are for other models.
  package static func mayBeOfUNet(_ path: String) -> Bool { unetBeginnings.contains(where: path.hasPrefix) }

  static let unetBeginnings = [
    "input_blocks_", "middle_block_", "output_blocks_", "time_embed_", "label_emb", "out_", "down_blocks_",
    "mid_block_",
    "up_blocks_", "time_embedding_", "add_embedding_", "class_embedding", "conv_",
  ]

  /// The names of Stable Diffusion's UNets.
  package static let stableDiffusion = ModuleNames(family: .unknown, component: .denoiser)

  /// The names of a family whose denoiser is a UNet; of others those of Stable Diffusion's.
  package static func unet(of family: Family) -> ModuleNames { unets[family] ?? stableDiffusion }

  private static let unets = Dictionary(
    uniqueKeysWithValues: Family.all.filter(\.hasUNet).map { ($0, ModuleNames(family: $0, component: .denoiser)) })

  private static func names(_ rule: NameMap.Rule) -> [Name] {
    func module(_ pattern: NamePattern) -> NamePattern {
      (rule.isTensor ? pattern.dropping(suffix: ".weight") : pattern).forAnyBlock
    }
    let left = module(rule.left), rights = rule.rights.map(module)
    return ([left] + (rule.isOnlyRead ? [] : rights)).enumerated().map { place, pattern in
      Name(
        pattern: pattern, flat: pattern.flattened, left: left, rights: rights, rule: rule, isLeft: place == 0,
        part: max(0, place - 1), isOfLast: rule.left.hasLast)
    }
  }

  private static func firstWord(_ name: some Sequence<UInt8>, endingAt end: UInt8) -> [UInt8] {
    Array(name.prefix { $0 != end })
  }

  /// Where the levels end that are whole.
  private static func end(ofLevels name: ArraySlice<UInt8>) -> Int {
    name.lastIndex(of: UInt8(ascii: "_")).map { $0 + 1 } ?? 0
  }

  /// The names that a flat one may be, in the maps' order.
  private func matches(flat: String) -> some Sequence<(name: Name, values: NamePattern.Values)> {
    let bytes = Array(flat.utf8)
    var places = placesByFlatBeginning[bytes] ?? [], end = bytes.count
    while end > 0 {
      end = Self.end(ofLevels: bytes[..<(end - 1)])
      places += placesByFlatBeginning[Array(bytes[..<end])] ?? []
    }
    return places.sorted().lazy.compactMap { place in names[place].flat.match(bytes[...]).map { (names[place], $0) } }
  }

  /// Whether a name with underscores for dots is that of a module, in either dialect.
  public func contains(flat: String) -> Bool { matches(flat: flat).contains { _ in true } }

  /// A name with underscores for dots as the other dialect has it; of several the first.
  ///
  /// - Parameter dialect: that of the result. `nil` is the answer for a name that is in no map, or in this dialect already.
  package func flat(_ name: String, in dialect: Dialect) -> String? {
    matches(flat: name).first { $0.name.isLeft == (dialect == .diffusers) }.map { name, values in
      (dialect == .diffusers ? name.rights[0] : name.left).flattened.name(values)
    }
  }

  /// The kernel of a convolution by its name with underscores for dots; empty for all other modules.
  ///
  /// Networks that no map has call their convolutions as these do: of their names the last words tell, where there are others
  /// before.
  package func kernel(flat: String) -> [Int] {
    if let match = matches(flat: flat).first(where: { _ in true }) { return match.name.rule.kernel }
    return kernels.first { flat.hasSuffix("_" + $0.ending) }?.kernel ?? []
  }

  /// The name with its dots, from one in which underscores stand for them.
  ///
  /// - Returns: `nil` for a name that no map has.
  public func dotted(_ flat: String) -> String? {
    matches(flat: flat).first { _ in true }.map { $0.name.pattern.name($0.values) }
  }

  /// The module in both dialects. Of a name that no map has, both names are that very name; see `isKnown`.
  ///
  /// - Parameters:
  ///   - module: its name with dots, in either dialect.
  ///   - isLast: whether it is in the last block, where maps tell that block from others.
  public func counterpart(of module: String, isLast: Bool) -> Counterpart {
    let bytes = Array(module.utf8)
    var same: Counterpart?
    for place in placesByWord[Self.firstWord(bytes, endingAt: UInt8(ascii: "."))] ?? [] {
      let name = names[place]
      guard !name.isOfLast || isLast, let values = name.pattern.match(bytes[...]) else { continue }
      let counterpart = Counterpart(
        name.rule, name.saysBothAlike ? nil : name.isLeft ? .original : .diffusers,
        original: name.left.name(values), diffusers: name.rights.map { $0.name(values) }, part: name.part)
      // A rule that names both sides alike says nothing about the dialect, but there may be a better one.
      if !name.saysBothAlike { return counterpart }
      same = same ?? counterpart
    }
    return same ?? Counterpart(unknown: module)
  }

  /// What stands for a counterpart whose original name is only read: one for each of diffusers' names.
  package func written(for counterpart: Counterpart) -> [Counterpart] {
    counterpart.diffusers.map { self.counterpart(of: $0, isLast: false) }
  }
}

extension ModuleNames.Counterpart {
  fileprivate init(
    _ rule: NameMap.Rule, _ dialect: ModuleNames.Dialect?, original: String, diffusers: [String], part: Int
  ) {
    self.init(
      dialect: dialect, original: original, diffusers: diffusers, part: part,
      shares: rule.shares.map { $0 == .inputs ? .inputs : .rest }, swapsHalves: rule.swapsHalves, isKnown: true,
      isParameter: rule.isTensor, isOnlyRead: rule.isOnlyRead && dialect == .original)
  }

  fileprivate init(unknown module: String) {
    self.init(
      dialect: nil, original: module, diffusers: [module], part: 0, shares: [.rest], swapsHalves: false, isKnown: false,
      isParameter: false, isOnlyRead: false)
  }
}
