import ArgumentParser

/// Options of `merge --try`.
struct MergeTrialOptions: ParsableArguments {
  @Option(
    name: .customLong("try"),
    help: ArgumentHelp(
      "Merge in each of these ways, draw with all of them beside the adapters themselves, and print how near they come: "
        + "exact,ties,tsv; with --base, --prompts and {method} in the name of the output.", valueName: "methods"))
  var list: MethodList?

  @Option(
    help: ArgumentHelp("With --try: draw the pictures of all ways side by side into this PNG.", valueName: "file"))
  var sheet: String?

  /// Methods behind each other: `exact,ties`.
  struct MethodList: ExpressibleByArgument {
    let methods: [MergeMethodOptions.Method]

    init?(argument: String) {
      let names = argument.split(separator: ",", omittingEmptySubsequences: false)
      methods = names.compactMap { MergeMethodOptions.Method(argument: String($0)) }
      guard methods.count == names.count, Set(methods.map(\.name)).count == names.count else { return nil }
    }

    static var allValueStrings: [String] { MergeMethodOptions.Method.allValueStrings }
  }

  var isAsked: Bool { list != nil }

  func check(output: String, hasMethod: Bool, base: String?, hasPrompts: Bool) throws {
    guard isAsked else {
      guard sheet == nil else { throw ValidationError("--sheet: expected --try beside it, found none") }
      return
    }
    guard !hasMethod else { throw ValidationError("--try: expected no --method or --fair beside it, found one") }
    guard base != nil else { throw ValidationError("--try: expected --base <checkpoint> beside it, found none") }
    guard hasPrompts else { throw ValidationError("--try: expected --prompts or --prompt beside it, found neither") }
    guard output.contains("{method}") else {
      throw ValidationError("-o: expected {method} in the name for --try, found \(output)")
    }
  }
}
