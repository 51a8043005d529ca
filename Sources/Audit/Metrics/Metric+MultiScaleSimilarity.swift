import Images

extension Metric {
  /// MS-SSIM; see `ImageComparison.multiScaleSimilarity`.
  public static let multiScaleSimilarity = Metric(
    name: "ms_ssim", title: "MS-SSIM", perfect: 1, usualLimit: 0.95, format: .similarity,
    meaning: "Likeness of structures, coarse and fine, on average: 1 is equal.", isJudge: true
  ) { $0.multiScaleSimilarity }
}
