import Adapters
import Factoring
import FoundationEssentials
import Models

/// An adapter to be converted, and the network that it belongs to where only its folder's name says so.
struct ConvertSource {
  let adapter: Adapter
  let component: Component?

  /// The adapter at `path`, or those in its folders `unet`, `text_encoder` and so on, as PEFT's own examples save them.
  static func all(at path: String) throws -> [ConvertSource] {
    let found = folders.compactMap { name, component -> (String, Component)? in
      let folder = "\(path)/\(name)"
      return FileManager.default.fileExists(atPath: folder + "/adapter_config.json") ? (folder, component) : nil
    }
    guard !found.isEmpty, !FileManager.default.fileExists(atPath: path + "/adapter_config.json") else {
      return [ConvertSource(adapter: try Adapter(path: path), component: nil)]
    }
    return try found.map { ConvertSource(adapter: try Adapter(path: $0), component: $1) }
  }

  /// The identity of one of its targets.
  func key(of target: Target) -> TargetKey {
    guard let component else { return target.key }
    let path = target.key.path
    return TargetKey(component, component.isTextEncoder ? TargetKey.belowLevels(path) : path)
  }

  private static let folders: [(String, Component)] = [
    ("unet", .denoiser), ("transformer", .denoiser), ("transformer_2", .denoiser2), ("text_encoder", .textEncoder1),
    ("text_encoder_2", .textEncoder2), ("text_encoder_3", .textEncoder3),
  ]

  /// The folder's name for a network, as diffusers' pipelines have it.
  static func folder(of component: Component, isUNet: Bool) -> String {
    component == .denoiser
      ? isUNet ? "unet" : "transformer" : folders.first { $0.1 == component }?.0 ?? component.rawValue
  }
}

extension [ConvertSource] {
  /// With whole weights as tensors to be copied, where the output is a PEFT folder as the input is.
  func keepingWhole(for recipe: ConvertRecipe) -> [ConvertSource] {
    guard count == 1, self[0].adapter.format.dialect.isFolder, recipe.format?.dialect.isFolder != false
    else { return self }
    return map { ConvertSource(adapter: $0.adapter.keepingReplacements, component: $0.component) }
  }
}
