// The lens itself: takes up tables from Python, and redraws while a dial is dragged.
const KINDS = { f8: Float64Array, f4: Float32Array, u4: Uint32Array, i2: Int16Array }
const lenses = new WeakMap()

// What Python packed: the readable part, with every array put in its place.
function unpack(read, numbers) {
  const bytes = numbers.getChildAt(0).toArray().slice() // a copy begins at a multiple of eight bytes
  for (const [path, kind, length, place] of read.parts) {
    const names = path.split(".")
    const last = names.pop()
    names.reduce((inner, name) => inner[name], read)[last] = new KINDS[kind](bytes.buffer, place, length)
  }
  return read
}

class Lens extends Talk {
  constructor(parent) {
    super()
    this.root = parent.querySelector(".lens")
    this.find = query => parent.querySelector(query)
    this.surface = new Surface(this.find("canvas"))
    this.rungs = {}
    this.dial = "sparsity"
    this.shared = this.log = false
    this.observer = new ResizeObserver(() => this.ask())
    this.observer.observe(this.find(".picture"))
    for (const name of Object.keys(VIEWS)) this.listenToTab(this.find(`#tab-${name}`), name)
    for (const button of parent.querySelectorAll(".switch")) button.onclick = () => this.flip(button)
    for (const name of DIALS) this.listenToDial(this.find(`#lens-${name}`), name)
    this.listenToPicture(this.find("canvas"))
  }

  update({ read, numbers }, send, trigger) {
    const { view, heard, parts, ...told } = read.parts ? unpack(read, numbers) : read
    const other = told.layer !== this.layer
    if (other) this.letGo()
    Object.assign(this, { send, trigger }, told)
    this.view ??= view // from then on the person's
    this.heard = heard
    this.turns = Math.max(this.turns ?? 0, heard)
    if (parts) this.take(heard, other)
    this.root.dataset.state = parts ? "ready" : "waiting"
    this.show()
    this.askForMore()
  }

  take(heard, other) {
    this.before = joined(this.weights.counts, this.bins)
    this.edges = binEdges(this.bins, this.weights.most)
    this.bytes = 4 * this.weights.count
    this.moved = this.ladders.sparsity.moved
    for (const name of DIALS) {
      const answered = !this.sent || this.sent.n <= heard || this.sent.dial !== name
      if (other || (answered && this.held !== name && !this.timer)) this.rungs[name] = this.ladders[name].now
    }
    if (this.sent?.n <= heard) this.sent = null
  }

  // Each dial that a view answers has its row, always in the same place.
  show() {
    const view = VIEWS[this.view]
    if (!view.dials.includes(this.dial)) this.dial = view.dials[0]
    for (const name of Object.keys(VIEWS)) {
      const tab = this.find(`#tab-${name}`)
      tab.setAttribute("aria-selected", name === this.view)
      tab.tabIndex = name === this.view ? 0 : -1
    }
    this.root.dataset.view = this.view
    this.find(".picture").setAttribute("aria-labelledby", `tab-${this.view}`)
    this.find("canvas").setAttribute("aria-label", view.alt)
    this.find("[data-name=own]").textContent = view.own
    for (const name of DIALS) this.showDial(name, view.dials.includes(name))
    if (this.ladders) this.find(".legend").replaceChildren(...view.legend(this).map(([kind, text]) => key(kind, text)))
    this.find("[data-switch=log]").hidden = this.view !== "weights"
    this.find("[data-switch=shared]").hidden = this.view !== "weights" || !(this.largest > 1.0001 * (this.weights?.most ?? Infinity))
    this.ask()
  }

  showDial(name, shown) {
    const row = this.find(`[data-dial=${name}]`)
    row.hidden = !shown
    if (!this.ladders) return
    const { values, title, refused } = this.ladders[name]
    const input = this.find(`#lens-${name}`)
    input.max = Math.max(0, values.length - 1)
    input.disabled = this.locked || Boolean(refused) || !values.length
    row.querySelector("small").textContent = title
    row.querySelector("label").title = title
    this.showValue(name)
  }

  showValue(name) {
    const { texts, values, now, off } = this.ladders[name]
    if (!values.length) return
    const input = this.find(`#lens-${name}`)
    const i = this.rungs[name]
    const part = at => values.length > 1 ? at / (values.length - 1) : 0
    if (+input.value !== i) input.value = i
    input.style.setProperty("--here", part(i))
    input.style.setProperty("--was", part(now))
    input.classList.toggle("away", i !== now)
    this.find(`[data-dial=${name}] output`).textContent = i === off && name !== "sparsity" ? `${texts[i]} (as trained)` : texts[i]
    input.setAttribute("aria-valuetext", spoken(this, name, i))
  }

  waiting() {
    return this.busy ? "This setting is being measured." : "This setting was not measured."
  }

  // Drawn at most once a frame, however many events there are.
  ask() {
    this.wanted ??= requestAnimationFrame(() => {
      this.wanted = undefined
      this.draw()
    })
  }

  draw() {
    if (this.closed) return
    this.say()
    if (!this.surface.begin(this.colours())) return // in a folded expander: the observer calls again when it opens
    if (!this.ladders?.[this.dial].values.length) return
    const i = this.rungs[this.dial]
    this.box = VIEWS[this.view].draw(this.surface, this, i)
    const [size_, error] = costs(this, this.dial, i)
    for (const [name, told] of [["size", size_], ["error", error], ["own", VIEWS[this.view].facts(this, i)]]) this.fact(name, told)
    this.showValue(this.dial)
    this.root.dataset.draws = Number(this.root.dataset.draws ?? 0) + 1
  }

  colours() {
    const read = palette(this.root)
    if (JSON.stringify(read) !== JSON.stringify(this.palette)) this.palette = read
    return this.palette
  }

  fact(name, told) {
    const [text, more] = told ?? ["–", this.busy ? "being measured" : "not measured"]
    const [value_, small] = [this.find(`[data-fact=${name}]`), this.find(`[data-more=${name}]`)]
    if (value_.textContent !== text) value_.textContent = text
    if (small.textContent !== more) small.textContent = more
  }

  // What is not in the numbers: why a dial does nothing, and how much is still to be measured.
  say() {
    const ladder = this.ladders?.[this.dial]
    const open = ladder && unknown(this)
    const measuring = this.busy && open > 0
    this.root.dataset.open = open
    const text = this.error || (!ladder ? "Looking at the weights…" : this.locked ? "This layer is locked: it stays as it was trained." :
      ladder.refused || (measuring ? `${count(ladder.values.length - open)} of ${plural(ladder.values.length, "setting")} measured so far.` : ""))
    const note = this.find(".note")
    note.ariaLive = measuring ? "off" : "polite"
    if (note.textContent !== text) note.textContent = text
  }

  listenToTab(tab, name) {
    tab.onclick = () => this.open(name)
    tab.onkeydown = event => {
      const all = Object.keys(VIEWS)
      const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
      const at = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : to && (all.indexOf(name) + to + all.length) % all.length
      if (at === undefined) return
      event.preventDefault()
      this.open(all[at])
      this.find(`#tab-${all[at]}`).focus()
    }
  }

  open(name) {
    if (name === this.view) return
    this.letGo()
    this.view = name
    this.send("view", name)
    this.show()
  }

  flip(button) {
    const name = button.dataset.switch
    this[name] = !this[name]
    button.setAttribute("aria-pressed", this[name])
    this.ask()
  }

  // A range input sends "change" when a pointer lets it go, and after every key: keys count as let go after a while without one.
  listenToDial(input, name) {
    input.onpointerdown = () => { this.held = name }
    input.onpointerup = input.onpointercancel = () => { if (this.held === name) this.held = undefined }
    input.onkeydown = () => { this.keyed = true }
    input.oninput = () => this.turn(name, +input.value)
    input.onchange = () => {
      this.held = undefined
      if (this.keyed) this.commitSoon(name)
      else this.commit(name)
    }
    input.onkeyup = () => {
      this.keyed = false
      if (this.timer) this.commitSoon(name)
    }
    input.onblur = () => this.letGo()
  }

  // The threshold and the cut can be dragged in the picture too.
  listenToPicture(canvas) {
    const move = event => {
      const view = VIEWS[this.view]
      if (!view.drag || !this.box) return
      const place = event.clientX - canvas.getBoundingClientRect().left
      const to = view.drag(this, this.box, Math.max(this.box.left, Math.min(this.box.right, place)))
      if (to >= 0) this.turn(this.dial, to)
    }
    canvas.onpointerdown = event => {
      if (!VIEWS[this.view].drag || !this.ladders || this.find(`#lens-${this.dial}`).disabled || event.button) return
      canvas.setPointerCapture(event.pointerId)
      this.held = this.dial
      move(event)
    }
    canvas.onpointermove = event => { if (canvas.hasPointerCapture(event.pointerId)) move(event) }
    canvas.onpointerup = () => {
      const name = this.held
      this.held = undefined
      if (name) this.commit(name)
    }
    canvas.onpointercancel = () => { // the page scrolls instead
      const name = this.held
      this.held = undefined
      if (name) this.turn(name, this.ladders[name].now)
    }
  }

  turn(name, rung) {
    this.dial = name
    this.rungs[name] = rung
    this.ask()
  }

  close() {
    this.closed = true
    clearTimeout(this.asking)
    clearTimeout(this.saying)
    clearTimeout(this.timer?.id)
    cancelAnimationFrame(this.wanted)
    this.observer.disconnect()
  }
}

function key(kind, text) {
  const item = document.createElement("span")
  if (kind !== "text") item.append(Object.assign(document.createElement("i"), { className: kind }))
  item.append(text)
  return item
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const lens = lenses.get(parentElement) ?? new Lens(parentElement)
  lenses.set(parentElement, lens)
  lens.update(data, setStateValue, setTriggerValue)
  return whenLeft(parentElement, () => {
    lens.close()
    lenses.delete(parentElement)
  })
}
