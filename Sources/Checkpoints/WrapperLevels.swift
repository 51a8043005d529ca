import Tensors

/// Levels that wrapping a model for training leaves in its tensors' names: of compiled modules, of modules whose activations are
/// computed again, and of those that several machines share.
package struct WrapperLevels {
  /// What stands before all names, and means nothing.
  private let beginning: String

  /// - Parameter names: of all tensors.
  package init(_ names: some Collection<String>) {
    // Others call ordinary modules so, but none calls all of a model so.
    let isWrapped = !names.isEmpty && names.allSatisfy { $0.hasPrefix(Self.module) }
    beginning = isWrapped ? Self.module : ""
  }

  private static let module = "module."
  private static let dotted = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."]
  /// The same in names that have lost their dots.
  private static let flat = ["__orig_mod_", "__fsdp_wrapped_module_", "__checkpoint_wrapped_module_"]

  /// The name in a model that is not wrapped.
  package func unwrapped(_ name: String) -> String {
    var result = name.dropping(prefix: beginning)
    guard result.utf8.contains(UInt8(ascii: "_")) else { return result }
    for level in Self.dotted where result.includes(level) {
      var words = result.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      let own = String(level.dropLast())
      // The last word is a tensor's own name.
      words = words.dropLast().filter { $0 != own } + words.suffix(1)
      result = words.joined(separator: ".")
    }
    for level in Self.flat where result.includes(level) {
      result = result.split(separator: level, omittingEmptySubsequences: false).joined(separator: "_")
    }
    return result
  }
}
