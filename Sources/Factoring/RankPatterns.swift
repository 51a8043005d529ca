import Adapters
import JSON

/// The metadata entry `lora_adapter_metadata` by which diffusers learns of different ranks.
///
/// Names of diffusers carry no alpha. Current versions read each target's rank from its factors; versions before 0.40
/// scale all of them as if they had one rank, unless this entry says otherwise (they read it since 0.34).
package struct RankPatterns {
  private struct Entry {
    let component: String
    let module: String
  }

  private let entries: [Entry]
  private let components: [String]
  private let largest: Int

  /// - Returns: `nil` where a target's name does not begin with a component that diffusers knows.
  package init?(_ targets: [OutputTarget]) {
    self.init(
      targets.map { ($0.name, $0.dottedPath) }, largest: targets.map(\.rankBefore).max() ?? 1)
  }

  /// - Parameters:
  ///   - targets: names as the output spells them, and the modules' names in the base.
  ///   - largest: the rank to give for all that have no pattern.
  package init?(_ targets: [(name: String, module: String?)], largest: Int) {
    var entries: [Entry] = []
    for target in targets {
      let known = ["unet", "text_encoder_2", "text_encoder_3", "text_encoder", "transformer_2", "transformer"]
      guard let component = known.first(where: { target.name.hasPrefix($0 + ".") }), let module = target.module
      else { return nil }
      // Newer transformers leave out the level `text_model`; a name without it fits both, as PEFT compares ends.
      let isText = component.hasPrefix("text_encoder") && module.hasPrefix("text_model.")
      entries.append(Entry(component: component, module: isText ? module.dropping(prefix: "text_model.") : module))
    }
    self.entries = entries
    components = Set(entries.map(\.component)).sorted()
    self.largest = largest
  }

  /// The entry's text for the given ranks; targets of rank 0 are not in it.
  package func text(ranks: [Int]) -> String {
    var fields: [String: JSONValue] = [:]
    for component in components {
      let kept = zip(entries, ranks).filter { $0.0.component == component && $0.1 > 0 }
      let patterns = JSONValue.object(Dictionary(uniqueKeysWithValues: kept.map { ($0.0.module, .int($0.1)) }))
      fields["\(component).r"] = .int(largest)
      fields["\(component).lora_alpha"] = .int(largest)
      fields["\(component).rank_pattern"] = patterns
      fields["\(component).alpha_pattern"] = patterns
      fields["\(component).target_modules"] = .array(kept.map { .string($0.0.module) })
    }
    return JSONValue.object(fields).compactText
  }

  /// In the header each quotation mark takes two characters: `\"module\":8,` in both patterns, `\"module\",` in the list.
  package var growth: FileSizeModel.MetadataGrowth {
    FileSizeModel.MetadataGrowth(
      characters: entries.map { 3 * ($0.module.utf8.count + 5) + 2 }, rankCount: 2,
      groups: entries.map { components.firstIndex(of: $0.component)! }, listCount: 3)
  }
}
