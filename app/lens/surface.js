// A canvas in the colours of the page: crisp on any screen, with axes, hatching and labels.
const PAD = { left: 52, right: 16, top: 8, bottom: 38 }

function palette(element) {
  const style = getComputedStyle(element)
  const read = name => style.getPropertyValue(`--st-${name}`).trim()
  const [kept, gone, best, fourth, old] = read("chart-categorical-colors").split(",").map(text => text.trim())
  const diverging = read("chart-diverging-colors").split(",").map(text => text.trim())
  return {
    kept, gone, best, fourth, old, diverging, text: read("text-color"), muted: read("gray-text-color"), line: read("border-color"),
    ground: read("background-color"), font: style.fontFamily,
  }
}

class Surface {
  constructor(canvas) {
    this.canvas = canvas
    this.g = canvas.getContext("2d")
  }

  // Whether there is room to draw in; clears it and takes up the page's present colours.
  begin(colours) {
    const { canvas, g } = this
    this.width = canvas.clientWidth
    this.height = canvas.clientHeight
    if (!this.width || !this.height) return false
    const scale = window.devicePixelRatio || 1
    const [wide, high] = [Math.round(this.width * scale), Math.round(this.height * scale)]
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high })
    g.setTransform(scale, 0, 0, scale, 0, 0)
    g.clearRect(0, 0, this.width, this.height)
    if (this.colours !== colours || this.scale !== scale) this.patterns = new Map()
    Object.assign(this, { colours, scale })
    this.small = this.width < 420
    return true
  }

  font(px = 12, weight = 400) {
    this.g.font = `${weight} ${px}px ${this.colours.font}`
  }

  // Diagonal lines of a colour: the second sign, beside the colour, of what is removed.
  hatch(colour, strong) {
    const key = `${colour} ${strong}`
    if (!this.patterns.has(key)) {
      const [tile, side] = [document.createElement("canvas"), Math.round(7 * this.scale)]
      tile.width = tile.height = side
      const g = tile.getContext("2d")
      g.globalAlpha = strong ? 0.22 : 0.07
      g.fillStyle = g.strokeStyle = colour
      g.fillRect(0, 0, side, side)
      g.globalAlpha = strong ? 1 : 0.28
      g.lineWidth = (strong ? 1.4 : 1) * this.scale
      g.beginPath()
      for (const shift of [-side, 0, side]) {
        g.moveTo(shift - 2, side + 2)
        g.lineTo(shift + side + 2, -2)
      }
      g.stroke()
      const pattern = this.g.createPattern(tile, "repeat")
      pattern.setTransform(new DOMMatrix().scale(1 / this.scale))
      this.patterns.set(key, pattern)
    }
    return this.patterns.get(key)
  }

  // The rectangle between two shares of the height, with what turns values into places.
  frame(x, y, { from = 0, to = 1, logarithmic = false, left = PAD.left, bottom = PAD.bottom } = {}) {
    const room = this.height
    const box = { left, right: this.width - PAD.right, top: from * room + PAD.top, bottom: to * room - bottom }
    const along = (box.right - box.left) / (x[1] - x[0])
    const up = logarithmic ? Math.log : z => z
    const rise = (box.bottom - box.top) / (up(y[1]) - up(y[0]))
    return {
      ...box, x: value => box.left + (value - x[0]) * along, value: place => x[0] + (place - box.left) / along, range: x, logarithmic,
      y: value => box.bottom - (up(Math.max(value, y[0])) - up(y[0])) * rise, reach: y,
    }
  }

  axes(box, { x, y, across = 6, format = String, rise = format, marks } = {}) {
    const { g, colours } = this
    this.font(12)
    g.lineWidth = 1
    g.textAlign = "right"
    g.textBaseline = "middle"
    const rows = marks ?? (box.logarithmic ? decades(...box.reach, Math.max(2, (box.bottom - box.top) / 34)) :
      ticks(...box.reach, Math.max(2, Math.floor((box.bottom - box.top) / 44))))
    for (const at of rows) {
      const place = Math.round(box.y(at)) + 0.5
      g.strokeStyle = colours.line
      this.line(box.left, place, box.right, place)
      g.fillStyle = colours.muted
      g.fillText(rise(at), box.left - 6, place)
    }
    g.textAlign = "center"
    g.textBaseline = "top"
    const columns = ticks(...box.range, this.small ? Math.min(across, 4) : across)
    for (const at of columns) {
      const place = Math.round(box.x(at)) + 0.5
      g.strokeStyle = colours.muted
      this.line(place, box.bottom, place, box.bottom + 4)
      g.fillStyle = colours.muted
      g.fillText(format(at), place, box.bottom + 6)
    }
    g.strokeStyle = colours.muted
    this.line(box.left, Math.round(box.bottom) + 0.5, box.right, Math.round(box.bottom) + 0.5)
    g.fillStyle = colours.muted
    if (x) g.fillText(x, (box.left + box.right) / 2, box.bottom + 21)
    if (y) {
      g.save()
      g.translate(11, (box.top + box.bottom) / 2)
      g.rotate(-Math.PI / 2)
      g.textBaseline = "middle"
      g.fillText(y, 0, 0)
      g.restore()
    }
  }

  // The nearest edge between two of the screen's own pixels.
  snap(place) {
    return Math.round(place * this.scale) / this.scale
  }

  line(x0, y0, x1, y1) {
    this.g.beginPath()
    this.g.moveTo(x0, y0)
    this.g.lineTo(x1, y1)
    this.g.stroke()
  }

  // Text that stays within a box and legible on whatever lies under it.
  label(text, x, y, box, { colour = this.colours.text, weight = 600, align = "center", px = 12 } = {}) {
    const { g } = this
    this.font(px, weight)
    const wide = g.measureText(text).width + 10
    const start = align === "center" ? x - wide / 2 : align === "right" ? x - wide : x
    const left = Math.max(box.left, Math.min(box.right - wide, start))
    g.globalAlpha = 0.88
    g.fillStyle = this.colours.ground
    g.fillRect(left, y - 10, wide, 20)
    g.globalAlpha = 1
    g.fillStyle = colour
    g.textAlign = "left"
    g.textBaseline = "middle"
    g.fillText(text, left + 5, y)
  }

  // A histogram's outline: places from left to right, one more than heights.
  outline(box, edges, heights, colour) {
    const { g } = this
    g.beginPath()
    g.moveTo(box.x(edges[0]), box.bottom)
    heights.forEach((height, i) => {
      g.lineTo(this.snap(box.x(edges[i])), box.y(height))
      g.lineTo(this.snap(box.x(edges[i + 1])), box.y(height))
    })
    g.lineTo(box.x(edges.at(-1)), box.bottom)
    g.strokeStyle = colour
    g.lineWidth = 1.5
    g.stroke()
  }

  sentence(text, box) {
    this.label(text, (box.left + box.right) / 2, (box.top + box.bottom) / 2, box, { weight: 500, px: 13 })
  }
}

// Round numbers within a range, at most so many.
function ticks(low, high, most) {
  const rough = (high - low) / most
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough * 0.999)
  const found = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-9) + 1e-12; i++) found.push(i * step || 0)
  return found
}

// Powers of ten within a range, at most so many; also twos and fives where there are few.
function decades(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)]
  const every = Math.max(1, Math.ceil((last - first + 1) / most))
  const steps = last - first < 1 ? [1, 2, 5] : [1]
  const found = []
  for (let n = first - 1; n <= last; n += every) found.push(...steps.map(step => step * 10 ** n))
  return found.filter(at => at >= low && at <= high)
}

// The edges of equal bins from -most to most.
const binEdges = (bins, most) => Float64Array.from({ length: bins + 1 }, (_, i) => (2 * i / bins - 1) * most)

function joined(counts, bins) {
  const [out, each] = [new Float64Array(bins), counts.length / bins]
  counts.forEach((n, i) => { out[Math.floor(i / each)] += n })
  return out
}

const SHORT = [[1e9, "G"], [1e6, "M"], [1e3, "k"]]
function short(x) {
  const [scale, unit] = SHORT.find(([size]) => x >= size) ?? [1, ""]
  return `${+(x / scale).toPrecision(3)}${unit && ` ${unit}`}`
}
