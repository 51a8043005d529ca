package import Adapters
package import Models

/// How an output spells its targets.
package struct OutputNaming {
  package let format: AdapterFormat
  package var setting: SpellingSetting

  package var family: Family { setting.family }
  private var dialect: any Dialect { format.dialect }

  package init(format: AdapterFormat, family: Family, adapters: [Adapter]) {
    self.init(
      format: format, family: family, keys: adapters.flatMap { $0.targets.map(\.key) },
      numbersTextEncoders: family != .unknown
        || !adapters.contains { $0.targets.contains { $0.name.hasPrefix("lora_te_") } })
  }

  /// - Parameters:
  ///   - keys: of all targets.
  ///   - numbersTextEncoders: whether a text encoder has a number even where it may be the only one.
  package init(format: AdapterFormat, family: Family, keys: [TargetKey], numbersTextEncoders: Bool) {
    self.format = format
    setting = SpellingSetting(
      family: family, isUNet: family.hasUNet || (family == .unknown && keys.contains { $0.isOfUNet }),
      // Kohya numbers text encoders only where there are several.
      hasOneTextEncoder: family.hasOneTextEncoder || !numbersTextEncoders)
  }

  /// The target's name and tensor names for `key`.
  ///
  /// - Parameter target: the same target in some adapter, whose dotted name is used where the format has dots.
  /// - Returns: `nil` when the format cannot spell it.
  package func names(for key: TargetKey, like target: Target) -> (module: String, tensors: Target.TensorNames)? {
    if dialect.keepsNames { return (target.name, .init(up: target.names.up, down: target.names.down)) }
    return names(for: key, dottedPath: target.dottedPath)
  }

  /// The same for a target that is in no adapter yet.
  ///
  /// - Parameter dottedPath: the module's name in the base, where it is known with dots.
  package func names(for key: TargetKey, dottedPath: String?) -> (module: String, tensors: Target.TensorNames)? {
    dialect.module(of: key, dotted: dottedPath, in: setting).map { ($0, dialect.tensorNames(of: $0)) }
  }

  /// The target of another dialect in the network in which the format keeps it: diffusers' pipelines number text encoders by
  /// their own order, other dialects by what they are, which makes T5 the third.
  package func key(of key: TargetKey) -> TargetKey {
    guard key.component.isTextEncoder, key.path.hasPrefix("encoder_block_") else { return key }
    // In pipelines of known families T5 is the only text encoder, unless their files say more.
    let inPipelines = family.t5InDiffusers ?? (family.hasNames ? .textEncoder1 : key.component)
    return TargetKey(dialect.countsLikePipelines ? inPipelines : .textEncoder3, key.path, key.parameter)
  }

  /// A vector's tensor name.
  ///
  /// - Parameters:
  ///   - dottedPath: the module's name in the base, where it is known with dots.
  ///   - isOwn: whether the format is that of the target's own file, whose name will do.
  /// - Returns: `nil` where the format has no such tensors.
  package func vectorName(for key: TargetKey, like target: Target, dottedPath: String?, isOwn: Bool) -> String? {
    dialect.vectorName(
      label: target.stored.first?.label ?? "", own: isOwn ? target.name : nil,
      module: names(for: TargetKey(key.component, key.path), dottedPath: dottedPath)?.module,
      isBias: key.parameter == .bias)
  }
}
