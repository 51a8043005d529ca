import Images

extension Metric {
  /// SSIM; see `ImageComparison.structuralSimilarity`.
  public static let structuralSimilarity = Metric(
    name: "ssim", title: "SSIM", perfect: 1, usualLimit: 0.9, format: .similarity,
    meaning: "Likeness of fine structures, on average: 1 is equal."
  ) { $0.structuralSimilarity }
}
