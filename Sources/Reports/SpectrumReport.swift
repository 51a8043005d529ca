public import Adapters
public import JSON
public import Spectra
import Tensors

/// Singular values and the ranks that they call for.
public struct SpectrumReport: JSONReport {
  public static let schema = "lathe.spectrum/1"

  struct TargetRow: Encodable, Sendable {
    var name: String
    var rank: Int
    var norm: Double
    var singularValues: [Double]
    var effectiveRank: Double
    var stableRank: Double
    var energyRank: [String: Int]
  }

  struct PartRow: Encodable, Sendable {
    var name: String
    var targets: Int
    var components: Int
    var norm: Double
    var energyRank: [String: Int]
  }

  let file: String
  let norm: Double
  let components: Int
  /// Components of the whole file, strongest first whatever target they are in, for each share of energy.
  let energyRank: [String: Int]
  let blocks: [PartRow]
  let targets: [TargetRow]
  /// Names of targets with a direction far stronger than is usual.
  let spikes: [String]

  private let blockNames: [String]

  private enum CodingKeys: String, CodingKey { case file, norm, components, energyRank, blocks, targets, spikes }

  /// - Parameters:
  ///   - adapter: for its path.
  ///   - spectrum: of the same adapter.
  ///   - spikes: that were found in it.
  public init(_ adapter: Adapter, _ spectrum: AdapterSpectrum, spikes: [AdapterProblem] = []) {
    self.spikes = spikes.compactMap(\.target)
    file = adapter.path
    let total = spectrum.total
    norm = total.spectrum.norm
    components = total.spectrum.singularValues.count
    energyRank = Self.energyRank(total.spectrum)
    blocks = spectrum.blocks.map {
      PartRow(
        name: $0.name, targets: $0.targetCount, components: $0.spectrum.singularValues.count, norm: $0.spectrum.norm,
        energyRank: Self.energyRank($0.spectrum))
    }
    blockNames = spectrum.entries.map(\.target.key.block)
    targets = spectrum.entries.map {
      TargetRow(
        name: $0.target.name, rank: $0.target.rank, norm: $0.spectrum.norm, singularValues: $0.spectrum.singularValues,
        effectiveRank: $0.spectrum.effectiveRank, stableRank: $0.spectrum.stableRank,
        energyRank: Self.energyRank($0.spectrum))
    }
  }

  private static let levels = zip(AdapterSpectrum.energyLevels, ["0.5", "0.9", "0.95", "0.99", "0.999"])

  private static func energyRank(_ spectrum: Spectrum) -> [String: Int] {
    Dictionary(uniqueKeysWithValues: levels.map { ($1, spectrum.rank(keepingEnergy: $0)) })
  }

  // MARK: Text

  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each target gets a line, or only blocks.
  public func text(width: Int, showsTargets: Bool, hints: ReportHints = .none) -> String {
    var lines = [
      file, "Components that keep a share of the energy (Σσ²); effective and stable rank say how many matter.", "",
    ]
    lines += blockTable.lines(width: width)
    if showsTargets {
      lines += [""] + targetTable.lines(width: width)
    } else if let hint = hints(.onlyBlocks) {
      lines.append("\n\(hint)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private var blockTable: TextTable {
    var table = TextTable(
      .name("block"), .number("targets"), .number("norm"), .number("all"), .number("50 %"), .number("90 %"),
      .number("95 %"), .number("99 %"), .number("99.9 %"))
    func add(_ name: String, _ targets: Int, _ norm: Double, _ all: Int, _ ranks: [String: Int]) {
      table.add(
        name, String(targets), Numbers.short(norm), String(all), String(ranks["0.5"]!), String(ranks["0.9"]!),
        String(ranks["0.95"]!),
        String(ranks["0.99"]!), String(ranks["0.999"]!))
    }
    for block in blocks { add(block.name, block.targets, block.norm, block.components, block.energyRank) }
    add("total", targets.count, norm, components, energyRank)
    return table
  }

  private var targetTable: TextTable {
    var table = TextTable(
      .name("target"), .number("rank"), .number("norm"), .number("σ₁"), .number("effective"), .number("stable"),
      .number("90 %"), .number("95 %"), .number("99 %"))
    for target in targets {
      table.add(
        target.name, String(target.rank), Numbers.short(target.norm), Numbers.short(target.singularValues.first ?? 0),
        Numbers.fixed(target.effectiveRank, 1), Numbers.fixed(target.stableRank, 1), String(target.energyRank["0.9"]!),
        String(target.energyRank["0.95"]!), String(target.energyRank["0.99"]!))
    }
    return table
  }

  // MARK: CSV and SVG

  /// One line for each singular value: target, index from 1, value, share of the target's energy up to it.
  public var csv: String {
    var text = "target,index,singular_value,energy\n"
    for target in targets {
      let total = target.singularValues.reduce(0) { $0 + $1 * $1 }
      var sum = 0.0
      for (index, value) in target.singularValues.enumerated() {
        sum += value * value
        text += "\(target.name.csvText),\(index + 1),\(value),\(total > 0 ? sum / total : 0)\n"
      }
    }
    return text
  }

  /// The energy that each share of the components keeps, one curve for each block.
  public var svg: String {
    let curves = blocks.map { block in
      let values = zip(targets, blockNames).filter { $0.1 == block.name }.flatMap(\.0.singularValues).sorted(by: >)
      let total = values.reduce(0) { $0 + $1 * $1 }
      var sum = 0.0
      let points =
        [(x: 0.0, y: 0.0)]
        + values.enumerated().map { index, value in
          sum += value * value
          return (x: 100 * Double(index + 1) / Double(values.count), y: total > 0 ? 100 * sum / total : 0)
        }
      return LinePlot.Curve(name: block.name, points: points)
    }
    return LinePlot(
      title: "Energy kept", subtitle: file, xAxis: .init(title: "components kept, % of each block"),
      yAxis: .init(title: "energy kept, %"), curves: curves
    ).svg
  }
}
