// Whether a part of the page may ask by itself to be drawn again: not while the page is being drawn, and not between the press of another
// page and its coming. A question names the page it stands on, and after the order for another page it would take that one away again.
const PAGES = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]"
const PATIENCE = 10000 // ms until a page that was pressed is no longer waited for
let left // the page that a press left, and when

function settled() {
  if (left && (location.pathname !== left.page || performance.now() > left.at + PATIENCE)) left = undefined
  return !left && ["notRunning", undefined].includes(document.querySelector("[data-testid=stApp]")?.dataset.testScriptState)
}

document.addEventListener("click", ({ target }) => {
  const link = target.closest?.(PAGES)
  if (link && link.pathname !== location.pathname) left = { page: location.pathname, at: performance.now() }
}, true)
