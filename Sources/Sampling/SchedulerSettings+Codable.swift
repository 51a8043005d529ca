extension SchedulerSettings {
  /// What is absent keeps its default. Throws `SamplingError` for values that no sampler here knows or heeds.
  public init(from decoder: any Decoder) throws {
    try Self.refuseOthers(decoder)
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func read<Value: Decodable>(_ key: CodingKeys, into place: inout Value) throws {
      if let value = try values.decodeIfPresent(Value.self, forKey: key) { place = value }
    }
    func choose<Value: RawRepresentable & CaseIterable>(_ key: CodingKeys) throws -> Value?
    where Value.RawValue == String {
      guard let name = try values.decodeIfPresent(String.self, forKey: key) else { return nil }
      if let value = Value(rawValue: name) { return value }
      let expected = Value.allCases.map(\.rawValue).joined(separator: ", ")
      throw SamplingError(.setting(name: key.rawValue, expected: expected, found: name))
    }
    try read(.timestepCount, into: &timestepCount)
    betaStart = try values.decodeIfPresent(Double.self, forKey: .betaStart)
    betaEnd = try values.decodeIfPresent(Double.self, forKey: .betaEnd)
    betaSchedule = try choose(.betaSchedule)
    prediction = try choose(.prediction) ?? .epsilon
    spacing = try choose(.spacing)
    try read(.stepsOffset, into: &stepsOffset)
    try read(.setsAlphaToOne, into: &setsAlphaToOne)
    clipsSample = try values.decodeIfPresent(Bool.self, forKey: .clipsSample)
    try read(.clipRange, into: &clipRange)
    try read(.rescalesToZeroTerminal, into: &rescalesToZeroTerminal)
    try read(.usesKarrasSigmas, into: &usesKarrasSigmas)
    try read(.originalSteps, into: &originalSteps)
    try read(.timestepScaling, into: &timestepScaling)
  }

  /// Settings that change images and that no sampler here heeds.
  private enum OtherKeys: String, CodingKey, CaseIterable {
    case className = "_class_name"
    case trainedBetas = "trained_betas"
    case thresholding
    case timestepType = "timestep_type"
    case interpolation = "interpolation_type"
    case finalSigma = "final_sigmas_type"
    case exponential = "use_exponential_sigmas"
    case beta = "use_beta_sigmas"
    case lambdas = "use_lu_lambdas"
    case flow = "use_flow_sigmas"
    case sigmaMin = "sigma_min"
    case sigmaMax = "sigma_max"

    /// The only value besides null that changes nothing.
    var harmless: String? {
      switch self {
      case .timestepType: "discrete"
      case .interpolation: "linear"
      case .finalSigma: "zero"
      case .className, .trainedBetas, .thresholding, .exponential, .beta, .lambdas, .flow, .sigmaMin, .sigmaMax: nil
      }
    }
  }

  private static func refuseOthers(_ decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: OtherKeys.self)
    for key in OtherKeys.allCases where values.contains(key) {
      if try values.decodeNil(forKey: key) { continue }
      if key == .className {
        let name = try values.decode(String.self, forKey: key)
        guard name.hasPrefix("FlowMatch") || name.hasPrefix("EDM") else { continue }
        throw SamplingError(.setting(name: key.rawValue, expected: "a scheduler of a noise table", found: name))
      }
      if let isOn = try? values.decode(Bool.self, forKey: key) {
        guard isOn else { continue }
        throw SamplingError(.setting(name: key.rawValue, expected: "false", found: "true"))
      }
      let found = (try? values.decode(String.self, forKey: key)) ?? "a value"
      guard found != key.harmless else { continue }
      throw SamplingError(.setting(name: key.rawValue, expected: key.harmless ?? "null", found: found))
    }
  }
}
