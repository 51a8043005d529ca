import Audit
import Reports

extension AuditWords {
  /// Advice with the options and commands that do it.
  static let commandLine = AuditWords(
    advice: { measure in
      switch measure {
      case .weightError: "Keep more: a larger --size, a smaller --max-error, or a number format of more digits."
      case .worstBlock: "Keep more there: --weigh per-target spares weak targets."
      case .scale: "Look at alpha and rank (lathe inspect), or use another strength."
      case .lost: "Keep more, or use --keep-all-targets; lathe compare names what is missing."
      case .unplaced: "lathe check says what has no place, and why."
      default: usual.advice(measure)
      }
    },
    remedy: { reason in
      switch reason {
      case .coarseFormat: "Store f16, or bake with --rounding shaped, or keep the base's scales."
      case .unplaced: "lathe check names them"
      default: usual.remedy(reason)
      }
    }, failure: { $0.line })
}
