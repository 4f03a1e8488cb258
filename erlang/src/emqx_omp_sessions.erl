%% The tables of sessions, their subscriptions and what they have unacknowledged; notices client processes that die.
%%
%% A session is one client process, by a number that rises. Its own process writes its rows, in the hooks; others read
%% them. What is here is the truth that the engine is told when a link comes up, whatever was lost on the way before.
-module(emqx_omp_sessions).
-behaviour(gen_server).

-include("emqx_omp_session.hrl").

-export([start_link/0, add/1, away/1, delete/1, find/1, all/0, connected/2]).
-export([subscribe/3, unsubscribe/2, subscription/2, subscriptions/1, set_held/3, set_gate/3, gates/0]).
-export([hold/3, release/2, held/1, untold/1, take_untold/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(SESSIONS, emqx_omp_sessions).
%% {{Session, Filter}, Gate, Subscription}: ordered, so that those of one session lie together.
-define(SUBSCRIPTIONS, emqx_omp_subscriptions).
%% {{Session, Id}, Topic}
-define(UNACKNOWLEDGED, emqx_omp_unacknowledged).
%% {{Session, Filter}}: subscribed or unsubscribed while the link was down. So many at most.
-define(UNTOLD, emqx_omp_untold).
-define(MAX_UNTOLD, 100000).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Its process is watched from now on.
-spec add(#session{}) -> ok.
add(#session{number = Session, pid = Pid} = Row) ->
    true = ets:insert(?SESSIONS, Row),
    gen_server:cast(?MODULE, {watch, Session, Pid}).

away(Session) ->
    _ = ets:update_element(?SESSIONS, Session, {#session.is_away, true}),
    ok.

delete(Session) ->
    ets:delete(?SESSIONS, Session),
    ets:match_delete(?SUBSCRIPTIONS, {{Session, '_'}, '_', '_'}),
    ets:match_delete(?UNACKNOWLEDGED, {{Session, '_'}, '_'}),
    ets:match_delete(?UNTOLD, {{Session, '_'}}),
    ok.

-spec find(pos_integer()) -> #session{} | none.
find(Session) ->
    case ets:lookup(?SESSIONS, Session) of
        [Row] -> Row;
        [] -> none
    end.

%% Every session's number and client id.
all() -> ets:select(?SESSIONS, [{#session{number = '$1', client_id = '$2', _ = '_'}, [], [{{'$1', '$2'}}]}]).

subscribe(Session, Gate, #{filter := Filter} = Subscription) ->
    ets:insert(?SUBSCRIPTIONS, {{Session, Filter}, Gate, Subscription}).

%% Under which number the subscription is held; 0: it is not.
set_held(Session, Filter, Number) ->
    _ = ets:update_element(?SUBSCRIPTIONS, {Session, Filter}, {2, Number}),
    ok.

%% The gate of a session; should it end by itself, the client's process is told.
set_gate(Session, Pid, Gate) ->
    _ = ets:update_element(?SESSIONS, Session, {#session.gate, Gate}),
    is_pid(Gate) andalso gen_server:cast(?MODULE, {watch_gate, Pid, Gate}),
    ok.

%% How many sessions have one.
gates() -> ets:select_count(?SESSIONS, [{#session{gate = '$1', _ = '_'}, [{is_pid, '$1'}], [true]}]).

unsubscribe(Session, Filter) -> ets:delete(?SUBSCRIPTIONS, {Session, Filter}).

-spec subscription(pos_integer(), binary()) -> {Gate :: non_neg_integer(), emqx_omp_frames:subscription()} | none.
subscription(Session, Filter) ->
    case ets:lookup(?SUBSCRIPTIONS, {Session, Filter}) of
        [{_, Gate, Subscription}] -> {Gate, Subscription};
        [] -> none
    end.

subscriptions(Session) ->
    ets:select(?SUBSCRIPTIONS, [{{{Session, '_'}, '$1', '$2'}, [], [{{'$1', '$2'}}]}]).

%% The link is down, or was until now: what this frame says of a subscription is told after CONNECTED, which tells only
%% what there is. So the engine stores what is new, and brings nothing back that the client has given up.
-spec untold(emqx_omp_frames:frame()) -> ok.
untold({subscribed, Session, _, _, #{filter := Filter}}) -> note(Session, Filter);
untold({unsubscribed, Session, Filter}) -> note(Session, Filter);
untold(_) -> ok.

note(Session, Filter) ->
    case ets:info(?UNTOLD, size) < ?MAX_UNTOLD of
        true ->
            ets:insert(?UNTOLD, {{Session, Filter}}),
            ok;
        false ->
            emqx_omp_log:log(warning, "too many subscriptions have changed without an engine: it is not told all")
    end.

%% As it is now.
-spec take_untold(pos_integer()) -> [emqx_omp_frames:frame()].
take_untold(Session) ->
    Filters = ets:select(?UNTOLD, [{{{Session, '$1'}}, [], ['$1']}]),
    ets:match_delete(?UNTOLD, {{Session, '_'}}),
    [now_told(Session, Filter, subscription(Session, Filter)) || Filter <- Filters].

now_told(Session, Filter, none) -> {unsubscribed, Session, Filter};
now_told(Session, _, {Gate, Subscription}) -> {subscribed, Session, false, Gate, Subscription}.

%% What the session has been given and has not acknowledged.
hold(Session, Id, Topic) -> ets:insert(?UNACKNOWLEDGED, {{Session, Id}, Topic}).

release(Session, Id) -> ets:delete(?UNACKNOWLEDGED, {Session, Id}).

held(Session) -> ets:select(?UNACKNOWLEDGED, [{{{Session, '$1'}, '$2'}, [], [{{'$1', '$2'}}]}]).

%% CONNECTED, for the first time or told again; none for a session that has gone, or is away with nothing
%% unacknowledged.
-spec connected(pos_integer(), boolean()) -> {ok, emqx_omp_frames:frame()} | none.
connected(Session, Again) ->
    case find(Session) of
        none ->
            none;
        #session{is_away = IsAway} = Row ->
            case held(Session) of
                [] when IsAway -> none;
                Held -> {ok, connected(Row, Again, subscriptions(Session), Held)}
            end
    end.

connected(#session{number = Session} = Row, Again, Subscriptions, Held) ->
    #session{version = Version, receive_maximum = Receive, maximum_packet = Packet, at = At} = Row,
    Flags = [Row#session.is_resumed, Row#session.is_assigned, Row#session.outlives, Again, Row#session.is_away],
    {connected, Session, Flags, Version, Receive, Packet, At, Row#session.client_id, Subscriptions, Held}.

%%% The process

init([]) ->
    Options = [named_table, public, {write_concurrency, true}, {read_concurrency, true}],
    ?SESSIONS = ets:new(?SESSIONS, [{keypos, #session.number} | Options]),
    ?SUBSCRIPTIONS = ets:new(?SUBSCRIPTIONS, [ordered_set | Options]),
    ?UNACKNOWLEDGED = ets:new(?UNACKNOWLEDGED, [ordered_set | Options]),
    ?UNTOLD = ets:new(?UNTOLD, [ordered_set | Options]),
    ok = emqx_omp_connection:create_table(),
    ok = emqx_omp_publishes:create_table(),
    {ok, #{}}.

handle_call(_, _, Watched) -> {noreply, Watched}.

handle_cast({watch, Session, Pid}, Watched) -> {noreply, Watched#{erlang:monitor(process, Pid) => Session}};
handle_cast({watch_gate, Pid, Gate}, Watched) -> {noreply, Watched#{erlang:monitor(process, Gate) => {gate_of, Pid}}}.

%% Hooks that have run have told it and deleted the rows.
handle_info({'DOWN', Monitor, process, Pid, Reason}, Watched) ->
    {Whose, Others} = maps:take(Monitor, Watched),
    case Whose of
        {gate_of, _} when Reason =:= normal -> ok;
        {gate_of, Client} -> emqx_omp_client:ask_process(Client, {gate_down, Pid});
        Session -> died(Session)
    end,
    {noreply, Others};
handle_info(_, Watched) ->
    {noreply, Watched}.

died(Session) ->
    case find(Session) of
        #session{client_id = ClientId, is_away = IsAway} ->
            IsAway orelse emqx_omp_connection:send(ClientId, {disconnected, Session, false}),
            emqx_omp_connection:send(ClientId, {ended, Session});
        none ->
            ok
    end,
    delete(Session).
