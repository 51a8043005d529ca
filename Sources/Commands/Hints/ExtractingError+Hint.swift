import Adapters
import Extracting

extension ExtractingError: HintedError {
  var place: String { path }

  var hint: Hint? {
    switch kind {
    case .unmatched: .new("--allow-unmatched leaves them aside")
    case .rankCap: .new("a higher --max-rank")
    case .severalNetworks: .new("--format \(AdapterFormat.usual.rawValue)")
    case .unchanged: nil
    }
  }
}
