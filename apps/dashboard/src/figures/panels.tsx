import { labelsOf, markerSvg, type Panel, panelSvg } from '@moraine/contract/plot';
import type { MouseEvent } from 'react';
import { useNavigate } from 'react-router';
import './figures.css';

/** Drawings that the files have, in the page's colours, with one legend. Nothing where there are none. */
export function Panels({ title, panels }: { title: string; panels: readonly Panel[] }) {
  const navigate = useNavigate();
  if (panels.length === 0) return null;
  const labels = labelsOf(panels);
  // A dot leads to its run within the page; the drawing itself knows of no router.
  const follow = (event: MouseEvent): void => {
    const href = event.target instanceof Element ? event.target.closest('a')?.getAttribute('href') : null;
    if (!href || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    void navigate(href);
  };
  return (
    <section className="block" aria-label={title}>
      <h2>{title}</h2>
      <Legend panels={panels} labels={labels} />
      {/* biome-ignore lint/a11y/noStaticElementInteractions lint/a11y/useKeyWithClickEvents: the links in it are what is clicked, by keys too. */}
      <div className="figure-grid" onClick={follow}>
        {panels.map((panel) => (
          <figure key={panel.title}>
            <figcaption className="weak">{panel.title}</figcaption>
            {/* biome-ignore lint/security/noDangerouslySetInnerHtml: our own drawing, whose words are escaped. */}
            <div dangerouslySetInnerHTML={{ __html: panelSvg(panel, labels) }} />
          </figure>
        ))}
      </div>
    </section>
  );
}

function Legend({ panels, labels }: { panels: readonly Panel[]; labels: readonly string[] }) {
  const series = panels.flatMap((panel) => panel.series);
  return (
    <ul className="figure-legend">
      {labels.map((label) => {
        const one = series.find((each) => each.label === label && each.hasMarkers);
        const color = (one ?? series.find((each) => each.label === label))?.color ?? 'base';
        return (
          <li key={label}>
            {one ? (
              // biome-ignore lint/security/noDangerouslySetInnerHtml: our own drawing, without words.
              <span className={`c-${color}`} dangerouslySetInnerHTML={{ __html: markerSvg(labels, label) }} />
            ) : (
              <span className={`c-${color} dashes`} />
            )}
            {label}
          </li>
        );
      })}
    </ul>
  );
}
