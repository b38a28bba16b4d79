/** Which page is shown. The audience's is loaded at once, the others when they are asked for. */

import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { JoinPage } from "./join/page";
import { Spinner } from "./parts/controls";

const HostPage = lazy(() => import("./host/page"));
const PresentPage = lazy(() => import("./host/present-page"));
const ConsolePage = lazy(() => import("./console/page"));

export function App() {
  return (
    <Suspense fallback={<main className="loading"><Spinner /></main>}>
      <Switch>
        <Route path="/host/:id/present">{({ id }) => <PresentPage id={id} key={id} />}</Route>
        <Route path="/host/:id?">{({ id }) => <HostPage id={id} key={id} />}</Route>
        <Route path="/console"><ConsolePage /></Route>
        <Route path="/join/:code">{({ code }) => <JoinPage code={code} />}</Route>
        <Route><JoinPage code="" /></Route>
      </Switch>
    </Suspense>
  );
}
