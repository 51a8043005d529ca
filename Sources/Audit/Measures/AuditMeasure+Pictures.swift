import Factoring

extension AuditMeasure {
  /// A metric's mean over all pairs of pictures.
  public init(_ metric: Metric) {
    self.init(
      "pictures.\(metric.name)", title: "pictures: \(metric.title)" + (metric.unit.map { " in \($0)" } ?? ""),
      shortTitle: metric.name == Metric.main.name ? metric.title : nil, isLeast: metric.isLarger,
      usualLimit: metric.usualLimit, searchName: metric.name.replacing("_", with: "-"),
      advice: "Look at the pictures: another detail of the same quality may be fine, another subject is not.",
      from: .pictures(metric)
    ) { _, _ in metric.meaning }
  }

  /// - Parameter metric: the measure's own.
  static func reading(_ metric: Metric, of pictures: AuditPictures) -> Reading {
    let values = pictures.pairs.map { $0.likeness[metric] }
    let worst = metric.worst(of: values).map { pictures.pairs[$0].shot }
    return Reading(
      value: metric.mean(of: pictures.pairs.map(\.likeness)), null: pictures.nullBound(metric),
      worst: worst?.label)
  }
}

extension AuditPictures {
  /// What all but one in twenty of the harmless changes' pictures reach; `nil` where there are none.
  public func nullBound(_ metric: Metric) -> Double? {
    metric.bound(of: nulls.flatMap { $0.rows.map { $0.likeness[metric] } })
  }
}
