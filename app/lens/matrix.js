// A corner of the weight entry by entry, as trained and as it is stored, with its numbers printed.
const matrixView = {
  dials: ["sparsity", "bits", "rank"],
  own: "Zeros here",
  alt: "The first entries of the layer's weight, as trained and as stored",

  legend: () => [["text", "the first outputs (rows) and inputs (columns), each entry with its number"]],

  cells(lens, i) {
    const each = lens.corner[0] * lens.corner[1]
    const cells = lens.ladders[lens.dial].cells.subarray(i * each, (i + 1) * each)
    return Number.isNaN(cells[0]) ? null : cells
  },

  facts(lens, i) {
    const cells = this.cells(lens, i)
    return cells && [`${cells.filter(x => x === 0).length} of ${cells.length}`, "entries of this corner"]
  },

  draw(surface, lens, i) {
    const { g, width, height, small } = surface
    const [rows, columns] = lens.corner
    const after = this.cells(lens, i)
    const wide = small ? width - 2 : (width - 18) / 2
    const room = small ? height / 2 : height
    const high = Math.min(34, Math.max(13, (room - 24) / rows))
    const shown = Math.min(rows, Math.floor((room - 22) / high))
    const most = lens.cells.reduce((top, x) => Math.max(top, Math.abs(x)), 0) || 1
    const box = { left: 0, right: width, top: 0, bottom: height }
    const ladder = lens.ladders[lens.dial]
    const title = i === ladder.now ? "as stored" : `as stored, ${lens.dial} ${ladder.texts[i]}`
    const each = Math.min(wide / columns, 64)
    surface.font(each < 46 ? 11 : 12)
    const brief = g.measureText(minus("-0.000")).width > each - 3 // then no zero before the point, in any cell
    const places = [[0, 0, lens.cells, "as trained"], [small ? 0 : wide + 18, small ? room : 0, after, title]]
    for (const [x, y, cells, name] of places) {
      surface.label(name, x, y + 9, box, { align: "left" })
      if (!cells) {
        surface.sentence(lens.waiting(), { left: x, right: x + wide, top: y, bottom: y + room })
        continue
      }
      for (let r = 0; r < shown; r++) for (let c = 0; c < columns; c++) {
        const entry = cells[r * columns + c]
        this.cell(surface, x + c * each, y + 20 + r * high, each - 1, high - 1, entry, most, brief)
      }
    }
    g.globalAlpha = 1
    return null
  },

  cell(surface, x, y, wide, high, entry, most, brief) {
    const { g, colours } = surface
    const shades = colours.diverging
    const strength = Math.min(1, Math.abs(entry) / most)
    const shade = entry === 0 ? colours.ground : mix(colours.ground, entry < 0 ? shades[0] : shades.at(-1), 0.08 + 0.8 * strength)
    g.fillStyle = shade
    g.fillRect(x, y, wide, high)
    if (entry === 0) {
      g.strokeStyle = colours.line
      g.lineWidth = 1
      g.strokeRect(x + 0.5, y + 0.5, wide - 1, high - 1)
    }
    surface.font(wide < 46 ? 11 : 12, entry === 0 ? 600 : 400)
    const number = minus(fixed(entry, Math.min(3, decimals(most))))
    const text = entry === 0 ? "0" : brief ? number.replace(/^(−?)0\./, "$1.") : number
    g.fillStyle = entry === 0 ? colours.muted : ink(shade)
    g.textAlign = "center"
    g.textBaseline = "middle"
    g.fillText(text, x + wide / 2, y + high / 2)
  },
}

const channels = colour => {
  const digits = colour.match(/^#(..)(..)(..)$/)
  return digits ? digits.slice(1).map(two => parseInt(two, 16)) : colour.match(/[\d.]+/g).slice(0, 3).map(Number)
}
const mix = (from, to, share_) => {
  const [a, b] = [channels(from), channels(to)]
  return `rgb(${a.map((x, i) => Math.round(x + share_ * (b[i] - x))).join(",")})`
}
const bright = colour => channels(colour).map(c => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
// Black or white, whichever stands out more.
const ink = colour => (bright(colour) + 0.05) / 0.05 > 1.05 / (bright(colour) + 0.05) ? "#000" : "#fff"
