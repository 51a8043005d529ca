import ArgumentParser
import Factoring
import Images

/// All pictures of a render: what each shows, which adapters are in it, where it goes, and its place on the sheet.
struct RenderPlan {
  /// As many as one call makes: each has a file, and a place on a sheet of limited size.
  static let mostPictures = 10_000

  /// A prompt without its tags, and what the tags ask for.
  struct Prompt {
    /// As it was written.
    let original: String
    let text: String
    let tags: [AdapterUse]
  }

  struct Picture {
    let prompt: Prompt
    let seed: UInt64
    /// Those that change something.
    let uses: [AdapterUse]
    /// `nil` where only the sheet is written.
    var path: String?
  }

  /// Pictures with the same weights. What is the same in two pictures is rendered once.
  struct Group {
    let uses: [AdapterUse]
    /// Each picture to render, with all the places in `pictures` that show it.
    var places: [[Int]]
  }

  /// Row by row.
  private(set) var pictures: [Picture] = []
  /// Of the sheet; the last row may be shorter.
  let columns: Int
  let rowLabels: [String]
  let columnLabels: [String]
  /// `nil` for a single picture.
  let sheet: String?

  /// What one column of a grid or sweep adds to the base.
  private struct Variant {
    var uses: [AdapterUse]
    var factor = 1.0
    /// What the prompt's tags are multiplied with; 0 leaves them out.
    var tagFactor: Double

    func label(hasTags: Bool) -> String {
      var parts = uses.map { $0.scaled(by: factor) }.filter(\.hasEffect).map(\.label)
      if hasTags, tagFactor != 0 { parts.append(tagFactor == 1 ? "tags" : "tags x \(tagFactor.shortText)") }
      return parts.isEmpty ? "base" : parts.joined(separator: " + ")
    }
  }

  /// - Throws: `ValidationError` for more than `mostPictures`.
  init(
    prompts: [Prompt], seeds: [UInt64], given: [AdapterUse], options: SheetOptions, output: String
  ) throws {
    let hasTags = prompts.contains { !$0.tags.isEmpty }, isTable = options.grid || options.sweep != nil
    let variants = Self.variants(given, hasTags: hasTags, options)
    let (rows, isHuge) = prompts.count.multipliedReportingOverflow(by: seeds.count)
    guard !isHuge, rows <= Self.mostPictures, rows * variants.count <= Self.mostPictures else {
      throw ValidationError(
        "expected at most \(Self.mostPictures) pictures, found \(prompts.count) prompts x \(seeds.count) seeds x "
          + "\(variants.count) columns; hint: several calls")
    }
    for prompt in prompts {
      for seed in seeds {
        for variant in variants {
          let uses =
            variant.uses.map { $0.scaled(by: variant.factor) } + prompt.tags.map { $0.scaled(by: variant.tagFactor) }
          pictures.append(Picture(prompt: prompt, seed: seed, uses: uses.filter(\.hasEffect), path: nil))
        }
      }
    }
    func label(_ prompt: Prompt, _ seed: UInt64) -> String {
      switch (prompts.count > 1, seeds.count > 1) {
      case (true, true): "seed \(seed)\n\(prompt.text)"
      case (true, false): prompt.text
      case (false, _): "seed \(seed)"
      }
    }
    if isTable {
      columns = variants.count
      columnLabels = variants.map { $0.label(hasTags: hasTags) }
      rowLabels =
        prompts.count * seeds.count > 1 ? prompts.flatMap { prompt in seeds.map { label(prompt, $0) } } : []
    } else if prompts.count > 1, seeds.count > 1 {
      columns = seeds.count
      columnLabels = seeds.map { "seed \($0)" }
      rowLabels = prompts.map(\.text)
    } else if prompts.count > 1 {
      columns = 1
      columnLabels = []
      rowLabels = prompts.map(\.text)
    } else {
      let columns = Int(Double(seeds.count).squareRoot().rounded(.up))
      self.columns = columns
      columnLabels = []
      rowLabels = stride(from: 0, to: seeds.count, by: columns).map {
        let last = min($0 + columns, seeds.count) - 1
        return last == $0 ? "seed \(seeds[$0])" : "seeds \(seeds[$0])-\(seeds[last])"
      }
    }
    let hasSheet = isTable || pictures.count > 1
    sheet = hasSheet ? output : nil
    guard !(hasSheet && options.sheetOnly) else { return }
    let digits = max(2, "\(pictures.count)".count), stem = output.dropLast(4)
    for index in pictures.indices {
      let number = "\(index + 1)"
      let padded = String(repeating: "0", count: digits - number.count) + number
      pictures[index].path = hasSheet ? "\(stem)-\(padded).png" : output
    }
  }

  private static func variants(_ given: [AdapterUse], hasTags: Bool, _ options: SheetOptions) -> [Variant] {
    let factors = options.sweep?.values
    guard options.grid else {
      return (factors ?? [1]).map { Variant(uses: given, factor: $0, tagFactor: $0) }
    }
    // The base has a column of its own.
    let others = (factors ?? [1]).filter { $0 != 0 }
    let alone = given.flatMap { use in others.map { Variant(uses: [use], factor: $0, tagFactor: 0) } }
    let together =
      given.count > 1 || hasTags ? others.map { Variant(uses: given, factor: $0, tagFactor: $0) } : []
    return [Variant(uses: [], tagFactor: 0)] + alone + together
  }

  /// All files that are written.
  var outputs: [String] { pictures.compactMap(\.path) + (sheet.map { [$0] } ?? []) }

  /// The pictures by their weights, so that weights are made once for each set of adapters and strengths.
  var groups: [Group] {
    var groups: [Group] = []
    for (index, picture) in pictures.enumerated() {
      guard let group = groups.firstIndex(where: { $0.uses == picture.uses }) else {
        groups.append(Group(uses: picture.uses, places: [[index]]))
        continue
      }
      let same = groups[group].places.firstIndex {
        pictures[$0[0]].prompt.text == picture.prompt.text && pictures[$0[0]].seed == picture.seed
      }
      if let same { groups[group].places[same].append(index) } else { groups[group].places.append([index]) }
    }
    return groups
  }

  /// - Parameter images: of the pictures.
  func contactSheet(_ images: [RGBImage], caption: String) -> ContactSheet {
    let rows = stride(from: 0, to: images.count, by: columns).map { start in
      (start..<start + columns).map { images.indices.contains($0) ? images[$0] : nil }
    }
    return ContactSheet(images: rows, rowLabels: rowLabels, columnLabels: columnLabels, caption: caption)
  }
}
