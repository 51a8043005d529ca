import Adapters
import JSON
import Loaders
import Tensors

/// What each loader would multiply the factors of a file by.
struct LoadersReport: Encodable, Sendable {
  struct LoaderRow: Encodable, Sendable {
    var name: String
    /// How many targets it loads.
    var loaded: Int
    /// The scales that it applies, each once, ascending.
    var scales: [Double]
    @Explicit var reason: String? = nil
  }

  struct TargetRow: Encodable, Sendable {
    var name: String
    /// By loader; `null` where it passes the target over.
    var scales: [String: Double?]
  }

  let agree: Bool
  let loaders: [LoaderRow]
  /// Targets for which loaders that load the file differ.
  let targets: [TargetRow]

  init(_ scales: LoaderScales) {
    let differing = scales.disagreements
    agree = differing.isEmpty
    loaders = LoaderScales.Loader.allCases.map { loader in
      let own = scales.rows.compactMap { $0.scales[loader] }
      return LoaderRow(
        name: loader.rawValue, loaded: own.count, scales: Set(own).sorted(), reason: scales.refusals[loader])
    }
    targets = differing.map { row in
      TargetRow(
        name: row.target,
        scales: Dictionary(
          uniqueKeysWithValues: LoaderScales.Loader.allCases.map { ($0.rawValue, row.scales[$0]) }))
    }
  }

  /// A line for each loader: its name and what it does.
  var lines: [(loader: String, text: String)] {
    loaders.map { loader in
      if let reason = loader.reason { return (loader.name, "nothing: " + reason) }
      let shown = loader.scales.prefix(6).map(Numbers.short).joined(separator: ", ")
      return (
        loader.name,
        shown + (loader.scales.count > 6 ? ", … \(loader.scales.count) in all" : "") + "   \(loader.loaded) targets"
      )
    }
  }
}
