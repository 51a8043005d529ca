import ArgumentParser
import Factoring
import Merging

/// How a merge is made of its adapters.
struct MergeMethodOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "exact (the sum, all components); the sum cut by --rank, --energy, --max-error or --size: svd, or fair (as --fair); or "
        + "something else than the sum: ties, ties-sum, dare, della (with --rank or --size), slerp (of two), tsv, knots-ties, "
        + "null-space (with --protect), normalised (each keeps its own effect). Of a character and seven styles none of them beat "
        + "the exact sum on average: they shift the balance, as other strengths do."))
  var method: Method?

  @Flag(
    help: ArgumentHelp(
      "Where components are cut, keep a fair share of every adapter instead of the strongest parts. (Of a character and two "
        + "styles cut to 5 to 35 % the plain cut made the better pictures; --weigh pictures the best.)"))
  var fair = false

  @Option(
    help: ArgumentHelp(
      "With ties, ties-sum, dare, della or knots-ties: the share of numbers that stay (default: 0.5).",
      valueName: "share"))
  var density: ShareArgument?

  @Option(help: ArgumentHelp("With dare or della: what chance begins with (default: 0).", valueName: "n"))
  var dropSeed: UInt64?

  @Option(
    help: ArgumentHelp(
      "With null-space: one of the adapters, out of whose outputs the others are kept; may be given several times.",
      valueName: "file"))
  var protect: [String] = []

  @Option(
    help: ArgumentHelp("With null-space: how much: 0 nothing, 1 half (the default), 9 nine tenths.", valueName: "x"))
  var protectStrength: Double?

  /// All components of the sum, or another way.
  enum Method: ExpressibleByArgument {
    case exact
    case method(MergeMethods.Choice)

    init?(argument: String) {
      if argument == "exact" { self = .exact; return }
      guard let choice = MergeMethods.named(argument) else { return nil }
      self = .method(choice)
    }

    static var allValueStrings: [String] { ["exact"] + MergeMethods.all.map(\.name) }
    var defaultValueDescription: String { name }

    var name: String {
      switch self {
      case .exact: "exact"
      case .method(let choice): choice.name
      }
    }
  }

  mutating func validate() throws {
    if let protectStrength, !(protectStrength >= 0 && protectStrength.isFinite) {
      throw ValidationError("--protect-strength: expected a number of at least 0, found \(protectStrength)")
    }
    try AmountOptions.checkShares([("--density", density?.value)])
  }

  /// The options that were given, with what listens to them.
  private var given: [(option: String, setting: MergeMethods.Setting)] {
    [
      density.map { _ in ("--density", .density) }, dropSeed.map { _ in ("--drop-seed", .seed) },
      protect.isEmpty ? nil : ("--protect", .protection),
      protectStrength.map { _ in ("--protect-strength", .protection) },
    ].compactMap { $0 }
  }

  /// - Parameters:
  ///   - methods: that are to be made.
  ///   - adapters: the paths of the inputs.
  /// - Throws: `ValidationError` for options that no method listens to, and for protected files that are no input.
  func check(_ methods: [Method], adapters: [String]) throws {
    let heard = methods.reduce(into: Set<MergeMethods.Setting>()) {
      if case .method(let choice) = $1 { $0.formUnion(choice.settings) }
    }
    for (option, setting) in given where !heard.contains(setting) {
      let names = MergeMethods.all.filter { $0.settings.contains(setting) }.map(\.name).joined(separator: ", ")
      throw ValidationError("\(option): expected --method \(names) beside it, found \(methods.first?.name ?? "none")")
    }
    for file in protect where !adapters.contains(file) {
      throw ValidationError("--protect: expected one of the adapters, found \(file)")
    }
    if heard.contains(.protection), protect.isEmpty {
      throw ValidationError("--method null-space: expected --protect <file> beside it, found none")
    }
  }

  /// What was said beside the method's name.
  ///
  /// - Parameter adapters: the paths of the inputs.
  func settings(adapters: [String]) -> MergeMethods.Settings {
    var settings = MergeMethods.Settings()
    (settings.density, settings.seed, settings.protection) = (density?.value, dropSeed, protectStrength)
    settings.protected = Set(adapters.indices.filter { protect.contains(adapters[$0]) })
    return settings
  }
}
