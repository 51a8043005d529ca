/// Where the parts of a contact sheet lie, in pixels.
struct SheetLayout {
  struct Line {
    let text: String
    let x: Int
    let y: Int
    let color: RGBColor
  }

  /// The width of the line around each picture.
  let border: Int
  let width: Int
  let height: Int
  private(set) var lines: [Line] = []
  private let cellWidth: Int
  private let cellHeight: Int
  private let gridX: Int
  private let gridY: Int
  private let spacing: Int
  /// From the top of one row of pictures to that of the next.
  private let rowPitch: Int

  /// - Throws: `ImageError`: `tooManyPixels` or `differentSizes`.
  init(_ sheet: ContactSheet) throws(ImageError) {
    let (rows, columns) = (sheet.images.count, sheet.images.first?.count ?? 0)
    let pictures = sheet.images.joined().compactMap { $0 }
    precondition(!pictures.isEmpty, "a contact sheet has at least one picture")
    precondition(sheet.images.allSatisfy { $0.count == columns }, "the rows of a contact sheet are equally long")
    precondition(sheet.rowLabels.isEmpty || sheet.rowLabels.count == rows, "each row has one label")
    precondition(sheet.columnLabels.isEmpty || sheet.columnLabels.count == columns, "each column has one label")
    precondition(sheet.scale > 0, "a scale is positive")
    let (cellWidth, cellHeight) = (pictures[0].width, pictures[0].height)
    if let other = pictures.first(where: { $0.width != cellWidth || $0.height != cellHeight }) {
      throw ImageError(.differentSizes(expected: pictures[0].sizeText, found: other.sizeText))
    }
    let unit = sheet.scale
    (self.cellWidth, self.cellHeight) = (cellWidth, cellHeight)
    border = unit
    spacing = 8 * unit
    let margin = 16 * unit
    let labelGap = 7 * unit
    let lineHeight = BitmapFont.lineHeight * unit

    // Labels of rows take what they need, but no more than half a picture or what is readable.
    let rowLimit = max(cellWidth / unit / 2, 72)
    // Nor do they take more height than their row has.
    rowPitch = max(cellHeight + spacing, sheet.rowLabels.isEmpty ? 0 : lineHeight)
    let rowLineCount = max(1, min(3, rowPitch / lineHeight))
    let rowLines = sheet.rowLabels.map { BitmapFont.wrapped($0, toWidth: rowLimit, lines: rowLineCount) }
    let rowWidth = unit * (rowLines.joined().map { BitmapFont.width(of: $0) }.max() ?? 0)
    let columnLines = sheet.columnLabels.map { BitmapFont.wrapped($0, toWidth: cellWidth / unit, lines: 2) }
    let columnHeight = Self.textHeight(columnLines.map(\.count).max() ?? 0, unit: unit)
    gridX = margin + (rowWidth > 0 ? rowWidth + labelGap + 2 * unit : 0)
    gridY = margin + (columnHeight > 0 ? columnHeight + labelGap : 0)
    let gridRight = gridX + columns * (cellWidth + spacing) - spacing
    let gridBottom = gridY + rows * rowPitch - spacing

    // Below small pictures the caption may be wider than the grid.
    let captionLimit = max((gridRight - margin) / unit, 240)
    let captionLines =
      sheet.caption.isEmpty ? [] : BitmapFont.wrapped(sheet.caption, toWidth: captionLimit, lines: 6)
    let captionWidth = unit * (captionLines.map { BitmapFont.width(of: $0) }.max() ?? 0)
    let captionY = gridBottom + 12 * unit
    width = max(gridRight, margin + captionWidth) + margin
    height =
      (captionLines.isEmpty ? gridBottom : captionY + Self.textHeight(captionLines.count, unit: unit)) + margin
    let (pixels, isTooLarge) = width.multipliedReportingOverflow(by: height)
    guard !isTooLarge, pixels <= RGBImage.maximumPixels else {
      throw ImageError(.tooManyPixels(width: width, height: height))
    }

    for (row, texts) in rowLines.enumerated() {
      // Centred by what is seen of most text: from the top of capitals to the line they stand on.
      let seen = (texts.count - 1) * lineHeight + BitmapFont.baseline * unit
      let top = gridY + row * rowPitch + (cellHeight - seen) / 2 - unit
      for (index, text) in texts.enumerated() {
        let x = gridX - labelGap - 2 * unit - BitmapFont.width(of: text) * unit
        lines.append(Line(text: text, x: x, y: top + index * lineHeight, color: ContactSheet.Palette.label))
      }
    }
    for (column, texts) in columnLines.enumerated() {
      let top = gridY - labelGap - Self.textHeight(texts.count, unit: unit)
      for (index, text) in texts.enumerated() {
        let room = cellWidth - BitmapFont.width(of: text) * unit
        let x = gridX + column * (cellWidth + spacing) + room / 2
        lines.append(Line(text: text, x: x, y: top + index * lineHeight, color: ContactSheet.Palette.label))
      }
    }
    for (index, text) in captionLines.enumerated() {
      let y = captionY + index * lineHeight
      lines.append(Line(text: text, x: margin, y: y, color: ContactSheet.Palette.caption))
    }
  }

  func cell(row: Int, column: Int) -> PixelRectangle {
    PixelRectangle(
      x: gridX + column * (cellWidth + spacing), y: gridY + row * rowPitch, width: cellWidth, height: cellHeight)
  }

  private static func textHeight(_ lines: Int, unit: Int) -> Int {
    lines == 0 ? 0 : ((lines - 1) * BitmapFont.lineHeight + BitmapFont.height) * unit
  }
}
