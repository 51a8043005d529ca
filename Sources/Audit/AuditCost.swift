/// What it takes to use some adapters, or a checkpoint in the base's place.
public struct AuditCost: Sendable {
  /// How many there are: none of the base alone.
  public let adapters: Int
  /// Of the adapters' files; of the checkpoint's files where there are no adapters.
  public let fileBytes: Int
  /// Of the factors as they are stored.
  public let factorBytes: Int
  /// For reading every weight and computing what is added to it; the sum over all threads.
  public let loadSeconds: Double
  /// Multiplications in the factors ÷ multiplications in the weights that they change.
  public let extraArithmetic: Double

  /// - Parameter loadSeconds: measured while the weights were compared.
  init(of side: AuditSide, loadSeconds: Double) {
    let checkpoint = side.checkpoint ?? side.base
    let targets = side.fits.flatMap(\.adapter.targets)
    adapters = side.fits.count
    fileBytes = side.fits.isEmpty ? checkpoint.byteCount : side.fits.reduce(0) { $0 + $1.adapter.byteCount }
    factorBytes = targets.reduce(0) { $0 + $1.byteCount }
    let changed = Dictionary(targets.map { ($0.key, $0.rows * $0.columns) }, uniquingKeysWith: { a, _ in a })
    let weights = changed.values.reduce(0, +)
    extraArithmetic =
      weights == 0 ? 0 : Double(targets.reduce(0) { $0 + $1.rank * ($1.rows + $1.columns) }) / Double(weights)
    self.loadSeconds = loadSeconds
  }
}
