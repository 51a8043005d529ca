import Images

extension Metric {
  /// PSNR; see `ImageComparison.peakSignalToNoise`.
  public static let peakSignalToNoise = Metric(
    name: "psnr", title: "PSNR", unit: "dB", perfect: nil, usualLimit: 25, format: .decimals(1),
    meaning: "Likeness of pixels, on average: 40 dB and more is excellent, infinite is equal."
  ) { $0.peakSignalToNoise }
}
