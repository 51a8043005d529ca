package import Models
import Tensors

/// A folder with `adapter_config.json`, or names that begin with `base_model.model.`.
///
/// Source: PEFT.
package struct PEFTDialect: Dialect {
  /// What PEFT puts before the names of the model that it wraps.
  package static let prefix = "base_model.model."

  /// A module's name in the model itself, however often that was wrapped.
  package static func unwrapped(_ module: String) -> String {
    var module = module
    while module.hasPrefix(prefix) { module = module.dropping(prefix: prefix) }
    return module
  }

  package func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool {
    hasConfiguration || modules.contains { $0.includes(Self.prefix) }
  }

  package var alphaRule: AlphaRule { .configuration }
  package var isFolder: Bool { true }
  package var countsLikePipelines: Bool { true }

  package func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? {
    dotted.map { Self.prefix + $0 }
  }
}
