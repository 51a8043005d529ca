public import Adapters
public import LinearAlgebra

/// What reading all weights of an adapter tells: the norm of every delta, and what is wrong with the values.
public struct WeightSurvey: Sendable {
  /// ‖Δ‖_F for each target in the adapter's order; `nil` where a factor is not finite.
  public let norms: [Double?]
  /// Factors with NaN or infinity, deltas that are zero, and spikes.
  public let problems: [AdapterProblem]

  /// - Parameters:
  ///   - threads: how many targets are read at once.
  ///   - progress: called with the number of targets done.
  public init(of adapter: Adapter, threads: Int, progress: WorkProgress? = nil) throws {
    let targets = adapter.targets
    let findings = try concurrentMap(
      count: targets.count, threads: threads, order: targets.map { [$0] }.longestFirst, progress: progress,
      workspace: FactorWorkspace.init
    ) { index, workspace -> (norm: Double?, values: Spectrum?, problem: AdapterProblem?) in
      let delta = try DeltaSum([.init(targets[index], of: adapter.path)])
      do {
        if delta.isDense {
          let spectrum = Spectrum(try delta.denseSpectrum(vectors: 0, in: workspace).spectrum.values)
          guard spectrum.norm > 0 else { return (0, nil, AdapterProblem(.dead, target: targets[index].name)) }
          return (spectrum.norm, spectrum, nil)
        }
        let core = try delta.core(in: workspace).core(weights: delta.weights), norm = core.frobeniusNorm
        guard norm > 0 else { return (norm, nil, AdapterProblem(.dead, target: targets[index].name)) }
        return (norm, Spectrum(try SingularValues.values(of: core)), nil)
      } catch let error as AdapterError {
        guard case .problem(let problem) = error.kind else { throw error }
        return (nil, nil, problem)
      }
    }
    norms = findings.map(\.norm)
    problems =
      findings.compactMap(\.problem)
      + Spikes(in: findings.map { $0.values ?? Spectrum([]) }).problems(of: targets.map(\.name))
  }
}
