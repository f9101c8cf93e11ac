import { memo, useRef, useState, type RefObject } from "react";
import { flushSync } from "react-dom";
import type { Room } from "../model";
import { receiptLine, type Receipt } from "../store/receipts";
import type { Row } from "../store/timeline";
import { clock, full, iso, shortClock } from "../text/times";
import { Avatar } from "./Avatar";
import { Dialog } from "./Dialog";
import { EditBox } from "./EditBox";
import { BinIcon, EditIcon } from "./icons";
import { Text } from "./Text";

export type RowActions = {
  onEditing: (clientId: string | null) => void;
  onEdit: (row: Row, text: string) => Promise<void>;
  /** What was typed into the row's edit box before. */
  typed: (row: Row) => string;
  onType: (row: Row, text: string) => void;
  onRemove: (row: Row) => void;
  onRetry: (row: Row) => void;
  onDiscard: (row: Row) => void;
};

type Props = {
  row: Row;
  head: boolean;
  mine: boolean;
  /** May delete what others wrote. */
  mayRemove: boolean;
  editing: boolean;
  receipt: Receipt | null;
  actions: RowActions;
};

/** Whether somebody with this role may delete other people's messages in this room, and remove people. */
export function moderates(room: Room, role: Room["role"], admin: boolean): boolean {
  return room.kind !== "direct" && (role === "owner" || admin);
}

/** One message. */
export const MessageRow = memo(function MessageRow({ row, head, mine, mayRemove, editing, receipt, actions }: Props) {
  const ref = useRef<HTMLElement>(null);
  return (
    <article ref={ref} className={`message ${head ? "head" : ""} ${mine ? "mine" : ""}`} data-testid="message" data-client-id={row.clientId}
      data-message-id={row.id} data-state={row.state} data-seq={row.seq} tabIndex={-1} aria-label={`${row.user.name}, ${clock(row.createdAt)}`}>
      <div className="gutter">
        {head ? <Avatar user={row.user} /> : <time className="side-time" dateTime={iso(row.createdAt)} title={full(row.createdAt)}>{shortClock(row.createdAt)}</time>}
      </div>
      <div className="body">
        {head && (
          <p className="by"><strong>{row.user.name}</strong>
            <time dateTime={iso(row.createdAt)} title={full(row.createdAt)}>{clock(row.createdAt)}</time></p>
        )}
        {editing
          ? <EditBox row={row} start={actions.typed(row)} onType={(text) => actions.onType(row, text)}
              onDone={() => actions.onEditing(null)} onSave={(text) => actions.onEdit(row, text)} />
          : <Body row={row} />}
        {(row.state === "failed" || row.state === "waiting") && <Unsent row={row} actions={actions} />}
        {receipt && <p className="receipts" data-testid="receipts">{receiptLine(receipt)}</p>}
      </div>
      {row.state === "sent" && !row.deleted && !editing && (mine || mayRemove) && <Tools row={row} mine={mine} message={ref} actions={actions} />}
    </article>
  );
});

function Body({ row }: { row: Row }) {
  if (row.deleted) return <p className="text gone">This message was deleted.</p>;
  return <><Text text={row.text} />{row.editedAt > 0 && <span className="edited" title={full(row.editedAt)}>edited</span>}</>;
}

function Unsent({ row, actions }: { row: Row; actions: RowActions }) {
  const waits = row.state === "waiting";
  return (
    <p className={waits ? "unsent" : "unsent failed"} role={waits ? "status" : "alert"}>
      <span>{waits ? "Waiting to be sent." : `Not sent. ${row.problem}`}</span>
      <button className="ghost" data-testid="retry" onClick={() => actions.onRetry(row)}>{waits ? "Send now" : "Try again"}</button>
      <button className="ghost" onClick={() => actions.onDiscard(row)}>Discard</button>
    </p>
  );
}

type ToolsProps = { row: Row; mine: boolean; message: RefObject<HTMLElement | null>; actions: RowActions };

function Tools({ row, mine, message, actions }: ToolsProps) {
  const [asking, setAsking] = useState(false);
  const remove = () => {
    // The buttons go with the text: the focus stays with the message.
    flushSync(() => setAsking(false));
    message.current?.focus({ preventScroll: true });
    actions.onRemove(row);
  };
  return (
    <>
      <div className="tools">
        {mine && <button className="ghost" aria-label="Edit message" title="Edit" onClick={() => actions.onEditing(row.clientId)}><EditIcon /></button>}
        <button className="ghost" aria-label="Delete message" title="Delete" onClick={() => setAsking(true)}><BinIcon /></button>
      </div>
      {asking && (
        <Dialog title="Delete this message?" onClose={() => setAsking(false)}>
          <blockquote className="text">{row.text}</blockquote>
          <div className="dialog-buttons">
            <button onClick={() => setAsking(false)}>Keep</button>
            <button className="danger" data-autofocus data-testid="confirm-delete" onClick={remove}>Delete</button>
          </div>
        </Dialog>
      )}
    </>
  );
}
