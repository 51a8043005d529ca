import Adapters
import ArgumentParser

/// A dialect that a user can choose.
protocol DialectChoice: ExpressibleByArgument {
  /// Those that there are to choose from.
  static var all: [AdapterFormat] { get }
  init(format: AdapterFormat)
}

extension DialectChoice {
  init?(argument: String) {
    guard let format = AdapterFormat(rawValue: argument), Self.all.contains(format) else { return nil }
    self.init(format: format)
  }

  static var allValueStrings: [String] { all.map(\.rawValue) }
  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }

  /// For help texts: `kohya, diffusers, peft or native`.
  static var list: String { allValueStrings.dropLast().joined(separator: ", ") + " or " + allValueStrings.last! }
}

/// A dialect in which an adapter can be written.
struct DialectArgument: DialectChoice {
  let format: AdapterFormat
  static let all = AdapterFormat.allCases.filter { !$0.dialect.keepsNames }
}

/// A dialect whose names an adapter can be given that has others.
struct OtherDialectArgument: DialectChoice {
  let format: AdapterFormat
  static let all = DialectArgument.all
}
