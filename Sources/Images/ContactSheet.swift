/// Equally large pictures in a grid, with labels and a caption, as one picture on a light ground.
public struct ContactSheet: Sendable {
  /// Rows from the top, all with as many places; `nil` leaves a place empty.
  public var images: [[RGBImage?]]
  /// Left of each row, or none.
  public var rowLabels: [String]
  /// Above each column, or none.
  public var columnLabels: [String]
  /// Below the grid: what was made, and how.
  public var caption: String
  /// How many pixels a pixel of the font is wide. Margins grow with it.
  public var scale: Int

  /// - Parameters:
  ///   - images: at least one row and one picture; all pictures of one size.
  ///   - scale: by default what suits the width of the pictures: 1 below 384 pixels, 2 below 896, then 4.
  public init(
    images: [[RGBImage?]], rowLabels: [String] = [], columnLabels: [String] = [], caption: String = "",
    scale: Int? = nil
  ) {
    let width = images.joined().compactMap { $0?.width }.first ?? 0
    (self.images, self.rowLabels, self.columnLabels, self.caption) = (images, rowLabels, columnLabels, caption)
    self.scale = scale ?? (width < 384 ? 1 : width < 896 ? 2 : 4)
  }

  /// How large the sheet will be. It does not depend on what the pictures show, so that one can stand for all of them.
  ///
  /// - Throws: as `drawn`.
  public func pixelSize() throws(ImageError) -> (width: Int, height: Int) {
    let layout = try SheetLayout(self)
    return (layout.width, layout.height)
  }

  /// The sheet as a picture.
  ///
  /// Labels are broken into at most three lines left of a row and two above a column, the caption into six; what is longer
  /// loses its middle.
  ///
  /// - Throws: `ImageError`: `tooManyPixels`, or `differentSizes` when the pictures are not equally large.
  public func drawn() throws(ImageError) -> RGBImage {
    let layout = try SheetLayout(self)
    var sheet = RGBImage(width: layout.width, height: layout.height, filledWith: Palette.ground)
    for (row, images) in images.enumerated() {
      for (column, image) in images.enumerated() {
        let cell = layout.cell(row: row, column: column)
        sheet.fill(cell.grown(by: layout.border), with: Palette.border)
        if let image { sheet.paste(image, x: cell.x, y: cell.y) } else { sheet.fill(cell, with: Palette.empty) }
      }
    }
    for line in layout.lines { sheet.draw(line.text, x: line.x, y: line.y, scale: scale, color: line.color) }
    return sheet
  }

  /// The colours of a sheet: hardly tinted, so that pictures are seen as they are.
  enum Palette {
    static let ground = RGBColor(red: 250, green: 250, blue: 248)
    static let border = RGBColor(red: 208, green: 208, blue: 204)
    static let empty = RGBColor(red: 238, green: 238, blue: 235)
    static let label = RGBColor(red: 34, green: 36, blue: 42)
    static let caption = RGBColor(red: 96, green: 99, blue: 106)
  }
}

extension PixelRectangle {
  fileprivate func grown(by count: Int) -> PixelRectangle {
    PixelRectangle(x: x - count, y: y - count, width: width + 2 * count, height: height + 2 * count)
  }
}
