import Images

extension Metric {
  /// SSIMULACRA2, which comes nearest to what people say; see `ImageComparison.perceptualScore`.
  public static let perceptualScore = Metric(
    name: "ssimulacra2", title: "SSIMULACRA2", perfect: 100, usualLimit: 60, format: .decimals(1),
    meaning: "What the eye sees, on average: 90 and more is no difference, 70 hardly one, 50 a small one.",
    scale: "90 and more, no difference is seen; 70, hardly; 50, clearly", isJudge: true
  ) { $0.perceptualScore }
}
