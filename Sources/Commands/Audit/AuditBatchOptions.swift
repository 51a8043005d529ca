public import ArgumentParser
public import Audit

/// Options of `lathe audit` for many audits at once.
struct AuditBatchOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Audit each row of a table with the columns name,base,before,after,prompts, or each pair of a folder's before/ and "
        + "after/. Results that still hold are kept.",
      valueName: "csv"))
  var manifest: String?

  @Option(
    help: ArgumentHelp(
      "Of the manifest every N-th row from the I-th; shards may run at the same time.", valueName: "i/n"))
  var shard: AuditShard?

  @Flag(help: "Audit nothing; join what was found to results.csv and index.md.")
  var collect = false

  func validate() throws {
    guard manifest != nil || shard == nil && !collect else {
      throw ValidationError("\(collect ? "--collect" : "--shard"): expected --manifest beside it, found none")
    }
    guard shard == nil || !collect else {
      throw ValidationError("expected --shard or --collect, which joins all shards, found both")
    }
  }
}

extension AuditShard: ExpressibleByArgument {
  /// Reads `2/4`; `nil` unless the first number is from 1 to the second.
  public init?(argument: String) { self.init(argument) }
}
