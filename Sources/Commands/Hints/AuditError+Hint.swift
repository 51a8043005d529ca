import Audit

extension AuditError: HintedError {
  var place: String { path }

  var hint: Hint? {
    switch kind {
    case .wrongFamily: .new("lathe check shows what fits")
    case .noneFits: .new("lathe check says what is missing")
    case .otherAudit: .alternative("leave out --against")
    case .noneGoodEnough: .about("--until ", alternative: "--dtype f32")
    case .side, .otherModel, .brokenBefore, .noEffect: nil
    }
  }
}

extension AuditBatchError: HintedError {
  var place: String { path }

  var hint: Hint? {
    switch kind {
    case .noBase: .new("lathe audit BASE --manifest … has one for all rows")
    case .foreign: .new("--force replaces reports")
    case .busy: .new("--shard divides the rows among several")
    default: nil
    }
  }

  var exitCode: Int32 {
    switch kind {
    case .noPairs: 66
    case .foreign, .foreignFile, .noReport, .busy: 73
    default: 65
    }
  }
}
