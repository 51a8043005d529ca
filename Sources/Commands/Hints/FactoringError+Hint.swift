import Adapters
import Factoring

extension FactoringError: HintedError {
  var place: String { path }

  var hint: Hint? {
    switch kind {
    case .noName(_, let format) where format == .usual: .new("merge only adapters of one format")
    case .noName: .new("--format \(AdapterFormat.usual.rawValue)")
    case .openFamily: .new("--family or --base says it")
    case .noModule: .new("--allow-unknown leaves it out")
    case .noNameToKeep: .new("lathe merge FILE@1 --format \(AdapterFormat.usual.rawValue) gives it a name")
    case .unreachableError, .lost: .new("--dtype f32")
    case .overflow: .new("--dtype bf16 or f32")
    case .noAlpha(_, _, let isConversion): .new("\(isConversion ? "--to" : "--format") \(AdapterFormat.usual.rawValue)")
    case .wholeWeight: .new("--base, or --allow-unmatched leaves it out")
    case .noDialectName(_, _, _, _, let isFamilyOpen):
      .new((isFamilyOpen ? "--family or --base says it, or " : "") + "--allow-unmatched leaves such targets out")
    default: nil
    }
  }
}
