import Tensors

extension AuditPage {
  struct CheckItem {
    var title: String
    var checkName: String
    var sign: String
    var word: String
    var tone: String
    var value: String
    var limit: String
    var null: [String]
    var worst: [String]
    var meaning: String
    var advice: [String]
    var bar: [Bar]

    /// Where the numbers stand between 0 and the largest of them, in per cent of the bar's width.
    struct Bar {
      var valueAt: String
      var limitAt: String
      var nullAt: [String]
      /// The part that passes.
      var passFrom: String
      var passTo: String
    }

    /// Those that fail stand first.
    static func all(_ checks: [AuditReport.Check]) -> [CheckItem] {
      (checks.filter { !$0.pass } + checks.filter(\.pass)).map(CheckItem.init)
    }

    init(_ check: AuditReport.Check) {
      title = check.title
      checkName = check.name
      if check.pass, check.value == nil {
        (tone, sign, word) = ("none", "–", "not measured")
      } else {
        (tone, sign, word) = check.pass ? ("good", "✓", "passes") : ("bad", "✕", "fails")
      }
      value = check.value.map(number) ?? "–"
      limit = (check.isLeast ? "at least " : "at most ") + number(check.limit)
      null = check.null.map { [number($0)] } ?? []
      worst = check.worst.map { [$0] } ?? []
      meaning = check.meaning
      advice = check.advice.isEmpty ? [] : [check.advice]
      bar = Self.bar(check).map { [$0] } ?? []
    }

    private static func bar(_ check: AuditReport.Check) -> Bar? {
      guard let value = check.value, value.isFinite, check.limit.isFinite else { return nil }
      let null = check.null.flatMap { $0.isFinite ? $0 : nil }
      // A little room, so that the largest does not stand at the edge.
      let end = 1.08 * max(value, check.limit, null ?? 0)
      guard end > 0, end.isFinite else { return nil }
      func place(_ value: Double) -> String { Numbers.fixed(100 * max(0, value) / end, 2) + "%" }
      let limit = place(check.limit)
      return Bar(
        valueAt: place(value), limitAt: limit, nullAt: null.map { [place($0)] } ?? [],
        passFrom: check.isLeast ? limit : "0%", passTo: check.isLeast ? "100%" : limit)
    }
  }
}
