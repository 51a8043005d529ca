/// How the steps of a run are spread over the timesteps of the table (Lin and others 2023, arXiv:2305.08891, table 2).
public enum Spacing: String, CaseIterable, Codable, Sendable {
  /// Multiples of a whole step from 0, plus an offset: the last timestep is never reached.
  case leading
  /// Evenly from the last timestep to the first.
  case linspace
  /// Back from the last timestep.
  case trailing

  /// `steps` timesteps below `count`, descending. With `pastEnd`, one more is spaced and the last one dropped: the
  /// solvers of order two do so. Whole numbers but for `linspace`.
  func timesteps(steps: Int, count: Int, offset: Int, pastEnd: Bool) -> [Double] {
    let points = pastEnd ? steps + 1 : steps
    switch self {
    case .leading:
      let step = count / points
      return (points - steps..<points).reversed().map { Double($0 * step + offset) }
    case .linspace:
      let step = Double(count - 1) / Double(max(points - 1, 1))
      return (points - steps..<points).reversed().map { index in
        index > 0 && index == points - 1 ? Double(count - 1) : Double(index) * step
      }
    case .trailing:
      // numpy's arange: the step is what is left of it after one subtraction. Where that makes one value too many (61
      // steps of 1000, for one), diffusers takes a step at timestep −1; this does not.
      let step = (Double(count) - Double(count) / Double(steps)) - Double(count)
      return (0..<steps).map { (Double(count) + Double($0) * step).rounded(.toNearestOrEven) - 1 }
    }
  }
}
