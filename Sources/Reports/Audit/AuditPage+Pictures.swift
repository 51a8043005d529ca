import Audit
import FoundationEssentials
import Tensors

/// The pictures of a report as they stand in a page: inside it.
struct PictureAlbum {
  private let files: [String: [UInt8]]

  init(_ files: [String: [UInt8]]) { self.files = files }

  /// What the template needs for one picture; without an address when there is no such PNG file.
  struct Frame {
    var path: String
    /// None or one.
    var address: [String]
    var isMissing: Bool
    var width: Int
    var height: Int
    /// Enlarged on most screens: its pixels shall stay sharp.
    var isSmall: Bool
  }

  func frame(_ path: String) -> Frame {
    let bytes = files[path] ?? []
    // PNG: signature, then the header chunk with width and height.
    let isPicture = bytes.count > 24 && bytes.starts(with: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    guard isPicture else {
      return Frame(path: path, address: [], isMissing: true, width: 0, height: 0, isSmall: false)
    }
    func number(at start: Int) -> Int { bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) } }
    let width = number(at: 16), height = number(at: 20)
    return Frame(
      path: path, address: ["data:image/png;base64," + Data(bytes).base64EncodedString()], isMissing: false,
      width: width, height: height, isSmall: max(width, height) <= 256)
  }
}

extension AuditPage {
  /// A likeness as people read it.
  struct LikenessNumbers {
    var figures: [Figure]
    var greatest: String
    var differing: String

    struct Figure {
      var metricTitle: String
      var metricValue: String
      var isMain: Bool
    }

    init(_ likeness: AuditReport.Likeness) {
      figures = Metric.all.map { metric in
        Figure(
          metricTitle: metric.title, metricValue: likeness[metric].map(metric.text) ?? "–",
          isMain: metric.name == Metric.main.name)
      }
      greatest = "\(likeness.greatestDifference) of 255"
      differing = percent(likeness.differingShare)
    }
  }

  /// The pictures of one prompt, with one negative prompt and one seed.
  struct PictureGroup {
    var prompt: String
    var conditions: String
    var negative: [String]
    var pairs: [Pair]

    struct Pair {
      var strength: String
      var pairVerdict: String
      var pairLook: Look
      /// Before, after and the difference.
      var layers: [Layer]
      var likeness: LikenessNumbers
      /// Tells it from the others for those who do not see it.
      var spoken: String
      /// Width and height of the pictures.
      var ratio: String
    }

    struct Layer {
      var kind: String
      var frame: PictureAlbum.Frame
    }

    /// In the report's order; pictures that differ by strength alone stand together.
    static func all(
      _ pictures: [AuditReport.Picture], _ recipe: AuditReport.Recipe, _ album: PictureAlbum
    ) -> [PictureGroup] {
      struct Key: Hashable {
        var prompt: String
        var negative: String?
        var seed: UInt64
      }
      var order: [Key] = [], groups: [Key: [AuditReport.Picture]] = [:]
      for picture in pictures {
        let key = Key(prompt: picture.prompt, negative: picture.negative, seed: picture.seed)
        if groups[key] == nil { order.append(key) }
        groups[key, default: []].append(picture)
      }
      return order.map { key in
        let scene = recipe.scenes.first {
          $0.prompt == key.prompt && $0.negative == key.negative && $0.seed == key.seed
        }
        return PictureGroup(
          prompt: key.prompt, conditions: "seed \(key.seed)" + (scene.map { ", \($0.size.text)" } ?? ""),
          negative: key.negative.flatMap { $0.isEmpty ? nil : [$0] } ?? [],
          pairs: groups[key]!.map { pair($0, album) })
      }
    }

    private static func pair(_ picture: AuditReport.Picture, _ album: PictureAlbum) -> Pair {
      let before = album.frame(picture.before), strength = Numbers.short(picture.strength)
      return Pair(
        strength: strength, pairVerdict: picture.verdict, pairLook: Look(picture.verdict),
        layers: [
          Layer(kind: "before", frame: before), Layer(kind: "after", frame: album.frame(picture.after)),
          Layer(kind: "difference", frame: album.frame(picture.difference)),
        ],
        likeness: LikenessNumbers(picture.likeness), spoken: "\(picture.prompt), strength \(strength)",
        ratio: before.isMissing ? "1 / 1" : "\(before.width) / \(before.height)")
    }
  }

  struct NullItem {
    var nullName: String
    var nullMeaning: String
    var rows: [Row]

    struct Row {
      var nullPrompt: String
      var nullSeed: String
      var nullStrength: String
      var frame: PictureAlbum.Frame
      var likeness: LikenessNumbers
    }

    init(_ null: AuditReport.Null, _ album: PictureAlbum) {
      (nullName, nullMeaning) = (null.name, null.meaning)
      rows = null.rows.map {
        Row(
          nullPrompt: $0.prompt, nullSeed: "\($0.seed)", nullStrength: Numbers.short($0.strength),
          frame: album.frame($0.picture), likeness: LikenessNumbers($0.likeness))
      }
    }
  }
}

extension Metric {
  /// A number as people read it, with its unit.
  func text(_ value: Double) -> String {
    func fixed(_ decimals: Int32) -> String {
      value.isFinite ? Numbers.fixed(value, decimals) : AuditPage.number(value)
    }
    let digits =
      switch format {
      case .decimals(let count): fixed(count)
      case .similarity: value < 1 && value >= 0.99995 ? "≈1" : fixed(4)
      }
    return digits + (unit.map { " \($0)" } ?? "")
  }
}
