import Adapters
import ArgumentParser

/// A dialect in which an adapter can be written.
struct DialectArgument: ExpressibleByArgument {
  let format: AdapterFormat

  init?(argument: String) {
    guard let format = AdapterFormat(rawValue: argument), Self.all.contains(format) else { return nil }
    self.format = format
  }

  private static let all = AdapterFormat.allCases.filter { !$0.dialect.keepsNames }

  static var allValueStrings: [String] { all.map(\.rawValue) }
  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }

  /// For help texts: `kohya, diffusers, peft or native`.
  static let list = all.map(\.rawValue).inWords
}

/// A dialect whose names an adapter can be given that has others.
struct OtherDialectArgument: ExpressibleByArgument {
  let format: AdapterFormat

  init?(argument: String) {
    guard let format = AdapterFormat(rawValue: argument), Self.all.contains(format) else { return nil }
    self.format = format
  }

  private static let all = AdapterFormat.allCases.filter { !$0.dialect.keepsNames && !$0.dialect.hasBaseNames }

  static var allValueStrings: [String] { all.map(\.rawValue) }
  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }

  /// For help texts: `kohya, diffusers or peft`.
  static let list = all.map(\.rawValue).inWords
}

extension [String] {
  /// `a, b or c`
  fileprivate var inWords: String { dropLast().joined(separator: ", ") + " or " + last! }
}
